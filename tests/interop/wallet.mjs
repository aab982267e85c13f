// Verifies credentials with verifier-core, which the Learner Credential Wallet and VerifierPlus carry.
// It fetches what it needs: here every request is answered from what the test hands over, or fails.
// stdin: {documents: {https address: document}, credentials: {name: credential}}
// stdout: {name: {steps: {step: true|false}, errors, fetched}}

import {readInput} from './documents.mjs';

const input = await readInput();
let fetched = [];
globalThis.fetch = async request => {
  const url = typeof request === 'string' ? request : request.url ?? request.href;
  fetched.push(url);
  const document = input.documents[url];
  const headers = {'content-type': 'application/json'};
  const response = new Response(JSON.stringify(document ?? {}), {status: document ? 200 : 404, headers});
  Object.defineProperty(response, 'url', {value: url});
  return response;
};
// Its own notes on the console would break the answer.
console.log = console.info = console.error;

const {verifyCredential} = await import('@digitalcredentials/verifier-core');
const answers = {};
for(const [name, credential] of Object.entries(input.credentials)) {
  fetched = [];
  const result = await verifyCredential({credential, knownDIDRegistries: []});
  const steps = {};
  for(const step of result.log ?? []) {
    steps[step.id] = step.valid ?? step.error?.name ?? false;
  }
  answers[name] = {
    steps, fetched,
    schema: result.additionalInformation ?? null,
    errors: (result.errors ?? []).map(error => `${error.name}: ${error.message}`)
  };
}
process.stdout.write(JSON.stringify(answers));
