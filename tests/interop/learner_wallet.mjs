// Follows a link as the Learner Credential Wallet 2.2.10 does, with the libraries it carries.
// stdin: {offers: {name: {link, holder: true | false, version}}}; version: of the data model, 2.0 or (before 2025) 1.0
// stdout: {name: {credential, holder, status}}

import * as vc from '@digitalcredentials/vc';
import {Ed25519Signature2020} from '@digitalcredentials/ed25519-signature-2020';
import {Ed25519VerificationKey2020} from '@digitalcredentials/ed25519-verification-key-2020';
import {securityLoader} from '@digitalcredentials/security-document-loader';
import {readInput} from './documents.mjs';

const documentLoader = securityLoader().build();

async function follow({link, holder, version}) {
  const asked = new URLSearchParams(link.split('?')[1]);
  if(asked.get('auth_type') !== 'bearer' || !asked.get('issuer')) {
    throw new Error('the wallet takes no such link');
  }
  const key = await Ed25519VerificationKey2020.generate();
  const did = `did:key:${key.fingerprint()}`;
  key.controller = did;
  key.id = `${did}#${key.fingerprint()}`;
  const presentation = vc.createPresentation({holder: holder ? did : undefined, version, verify: false});
  const signed = await vc.signPresentation({
    presentation, suite: new Ed25519Signature2020({key}), challenge: asked.get('challenge'), documentLoader
  });
  const response = await fetch(asked.get('vc_request_url'), {
    method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify(signed)
  });
  // It reads HTML entities before it reads JSON.
  const named = {amp: '&', lt: '<', gt: '>', quot: '"', apos: "'"};
  const text = (await response.text()).replace(/&(amp|lt|gt|quot|apos);/g, (_, name) => named[name]);
  return {credential: JSON.parse(text), holder: did, status: response.status};
}

const input = await readInput();
const answers = {};
for(const [name, asked] of Object.entries(input.offers)) {
  answers[name] = await follow(asked);
}
process.stdout.write(JSON.stringify(answers));
