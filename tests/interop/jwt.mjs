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
    const {kid} = decodeProtectedHeader(token);
    const jwk = input.keys[kid];
    // The method is the key's, whatever the header says.
    const alg = jwk.kty === 'OKP' ? 'EdDSA' : 'RS256';
    const key = await importJWK(jwk, alg);
    const {payload, protectedHeader} = await jwtVerify(token, key, {
      algorithms: [alg], currentDate: new Date(input.now), requiredClaims: ['iss', 'jti', 'nbf', 'sub']
    });
    answers[name] = {verified: true, header: protectedHeader, payload};
  } catch(error) {
    answers[name] = {verified: false, reason: error.message};
  }
}
process.stdout.write(JSON.stringify(answers));
