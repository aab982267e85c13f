// Verifies Data Integrity credentials with Digital Bazaar's libraries, in JSON-LD safe mode.
// stdin: {now, documents: {address: document}, credentials: {name: credential}}
// stdout: {name: {verified, revoked, reasons}}; revoked is null where the credential names no list

import * as vc from '@digitalbazaar/vc';
import {DataIntegrityProof} from '@digitalbazaar/data-integrity';
import {checkStatus} from '@digitalbazaar/vc-bitstring-status-list';
import {cryptosuite} from '@digitalbazaar/eddsa-rdfc-2022-cryptosuite';
import {documentLoader, readInput, reasons} from './documents.mjs';

const input = await readInput();
const load = documentLoader(input);
const suite = new DataIntegrityProof({cryptosuite});
const answers = {};
for(const [name, credential] of Object.entries(input.credentials)) {
  const result = await vc.verifyCredential({
    credential, suite, documentLoader: load, now: input.now,
    checkStatus: options => checkStatus({...options, verifyBitstringStatusListCredential: true})
  });
  answers[name] = {
    verified: result.verified,
    revoked: result.statusResult?.results?.some(one => one.status) ?? null,
    reasons: [...reasons(result.error), ...reasons(result.statusResult?.error)]
  };
}
process.stdout.write(JSON.stringify(answers));
