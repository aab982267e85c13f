// What a verifier may load: what the test hands over, and nothing else.

export async function readInput() {
  const parts = [];
  for await (const part of process.stdin) {
    parts.push(part);
  }
  return JSON.parse(Buffer.concat(parts).toString('utf8'));
}

// A DID URL answers its verification method, as a did:web resolver would.
export function documentLoader({documents}) {
  return async url => {
    const [address, fragment] = url.split('#');
    let document = documents[url] ?? documents[address];
    if(document && fragment && document.verificationMethod) {
      document = document.verificationMethod.find(method => method.id === url);
      if(document) {
        document = {'@context': 'https://w3id.org/security/multikey/v1', ...document};
      }
    }
    if(!document) {
      throw new Error(`not handed over: ${url}`);
    }
    return {contextUrl: null, documentUrl: url, document};
  };
}

export function reasons(error) {
  if(!error) {
    return [];
  }
  return [error.message, ...(error.errors ?? []).flatMap(reasons), ...reasons(error.cause)].filter(Boolean);
}
