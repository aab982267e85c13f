"""What the tool does. Each public function is one transaction or one step of a job."""
