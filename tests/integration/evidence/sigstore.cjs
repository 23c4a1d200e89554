// SPDX-License-Identifier: MIT
//
// node sigstore.cjs PUBLIC-KEY ENVELOPE: exits with 0 if @sigstore/verify accepts an envelope, with 3 if
// it refuses the signature. The envelope is put into a Sigstore bundle; there is no log and no timestamp.
const fs = require("fs");
const crypto = require("crypto");
const { Verifier, toSignedEntity, toTrustMaterial, VerificationError } = require("@sigstore/verify");
const { bundleFromJSON } = require("@sigstore/bundle");

const [, , keyFile, envelopeFile] = process.argv;
const envelope = JSON.parse(fs.readFileSync(envelopeFile, "utf8"));
const hint = envelope.signatures[0].keyid;
const bundle = bundleFromJSON({
  mediaType: "application/vnd.dev.sigstore.bundle.v0.3+json",
  verificationMaterial: { publicKey: { hint }, tlogEntries: [] },
  dsseEnvelope: envelope,
});
const publicKey = crypto.createPublicKey(fs.readFileSync(keyFile));
const root = {
  mediaType: "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
  tlogs: [],
  certificateAuthorities: [],
  ctlogs: [],
  timestampAuthorities: [],
};
const known = (asked) => {
  if (asked !== hint) throw new Error(`no key ${asked}`);
  return { publicKey, validFor: () => true };
};
const verifier = new Verifier(toTrustMaterial(root, known), { tlogThreshold: 0, ctlogThreshold: 0, tsaThreshold: 0 });
try {
  verifier.verify(toSignedEntity(bundle));
} catch (error) {
  if (!(error instanceof VerificationError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exit(3);
}
