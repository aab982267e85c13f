// Verifies VC-JWTs with jose.
// stdin: {now, keys: {address: JWK}, tokens: {name: JWS}}
// stdout: {name: {verified, header, payload, reason}}

import {decodeProtectedHeader, importJWK, jwtVerify} from 'jose';
import {webcrypto} from 'node:crypto';
import {readInput} from './documents.mjs';

globalThis.crypto ??= webcrypto; // Node 18, which Debian 12 has, does not offer it by itself

const input = await readInput();
const answers = {};
for(const [name, token] of Object.entries(input.tokens)) {
  try {
    const jwk = input.keys[decodeProtectedHeader(token).kid];
    const key = await importJWK(jwk, 'RS256');
    const {payload, protectedHeader} = await jwtVerify(token, key, {
      algorithms: ['RS256'], currentDate: new Date(input.now), requiredClaims: ['iss', 'jti', 'nbf', 'sub']
    });
    answers[name] = {verified: true, header: protectedHeader, payload};
  } catch(error) {
    answers[name] = {verified: false, reason: error.message};
  }
}
process.stdout.write(JSON.stringify(answers));
