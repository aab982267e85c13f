// Fetches credentials as a wallet does, with @openid4vc/openid4vci: from the offer's link to the credential.
// stdin: {offers: {name: {link, pin, format, key: "did:key" | "jwk", alg: "EdDSA" | "ES256"}}}
// stdout: {name: {credential, holder, configuration} | {error}}

import {createHash, randomBytes} from 'node:crypto';
import {
  clientAuthenticationAnonymous, preAuthorizedCodeGrantIdentifier
} from '@openid4vc/oauth2';
import {Openid4vciClient, setGlobalConfig} from '@openid4vc/openid4vci';
import {encode as base58} from 'base58-universal';
import {SignJWT, exportJWK, generateKeyPair} from 'jose';
import {readInput} from './documents.mjs';

setGlobalConfig({allowInsecureUrls: true}); // the served tool has no certificate

async function makeKey({key, alg}) {
  const pair = await generateKeyPair(alg, {crv: alg === 'EdDSA' ? 'Ed25519' : undefined, extractable: true});
  const jwk = await exportJWK(pair.publicKey);
  const x = Buffer.from(jwk.x, 'base64url');
  const bytes = alg === 'EdDSA' ?
    [0xed, 0x01, ...x] :
    [0x80, 0x24, 2 + (Buffer.from(jwk.y, 'base64url').at(-1) & 1), ...x];
  const multibase = `z${base58(Uint8Array.from(bytes))}`;
  const did = `did:key:${multibase}`;
  const signer = key === 'jwk' ?
    {method: 'jwk', alg, publicJwk: jwk} :
    {method: 'did', alg, didUrl: `${did}#${multibase}`};
  return {pair, jwk, did, signer};
}

async function fetchCredential(asked) {
  const key = await makeKey(asked);
  const client = new Openid4vciClient({callbacks: {
    fetch,
    hash: (data, algorithm) => createHash(algorithm.replace('-', '')).update(data).digest(),
    generateRandom: size => randomBytes(size),
    clientAuthentication: clientAuthenticationAnonymous(),
    signJwt: async (_signer, {header, payload}) => ({
      jwt: await new SignJWT(payload).setProtectedHeader(header).sign(key.pair.privateKey),
      signerJwk: key.jwk
    })
  }});
  const offer = await client.resolveCredentialOffer(asked.link);
  const issuerMetadata = await client.resolveIssuerMetadata(offer.credential_issuer);
  const needsPin = 'tx_code' in offer.grants[preAuthorizedCodeGrantIdentifier];
  const {accessTokenResponse} = await client.retrievePreAuthorizedCodeAccessTokenFromOffer({
    credentialOffer: offer, issuerMetadata, txCode: needsPin ? asked.pin : undefined
  });
  const configurations = issuerMetadata.credentialIssuer.credential_configurations_supported;
  const credentialConfigurationId = offer.credential_configuration_ids
    .find(id => configurations[id].format === asked.format);
  const {c_nonce: nonce} = await client.requestNonce({issuerMetadata});
  const {jwt} = await client.createCredentialRequestJwtProof({
    issuerMetadata, signer: key.signer, nonce, credentialConfigurationId, issuedAt: new Date()
  });
  const {credentialResponse} = await client.retrieveCredentials({
    issuerMetadata, accessToken: accessTokenResponse.access_token, credentialConfigurationId, proofs: {jwt: [jwt]}
  });
  return {
    credential: credentialResponse.credentials[0].credential,
    holder: asked.key === 'jwk' ? null : key.did,
    configuration: configurations[credentialConfigurationId]
  };
}

const input = await readInput();
const answers = {};
for(const [name, asked] of Object.entries(input.offers)) {
  try {
    answers[name] = await fetchCredential(asked);
  } catch(error) {
    answers[name] = {error: `${error.name}: ${error.message}`, said: error.errorResponse ?? null};
  }
}
process.stdout.write(JSON.stringify(answers));
