// Sends the form that brings a launch on; without JavaScript there is a button.
document.getElementById("go").submit();
