// Package layer turns rendered objects into sealed, content-addressed layers, and back.
//
// What many clusters share is in shared layers, what differs in one small own layer per output: Split cuts them, Stack
// puts them together again. A layer is then sealed on the hub and opened on the cluster only: Seal and Open. The files
// of a bundle travel in the same container: SealFiles and OpenFiles.
//
// The package is pure: no clock, no client, no disk. Entries, their objects and layers are shared between callers and
// results; nobody modifies them once they are made.
//
// # Identity
//
// A layer's ID is an HMAC-SHA-256 over the keys and digests of its objects in canonical form, keyed by the hub's secret:
// equal objects give the same ID on the same hub, also after an upgrade, and who knows no secret can neither guess a
// layer's content nor test a guess. How a layer is encoded, compressed and cut into chunks has no part in the ID.
// An Entry's Digest is a plain SHA-256, so it lets whoever reads it test guesses: it belongs beside the object, never in
// an object on the hub, a log or a status.
//
// # Sealing
//
// A layer's content key is derived (HKDF-SHA-256) from the hub's secret and the layer's ID, so that the hub keeps no
// list of keys. Equal layers must give equal ciphertext, or every pass of the hub would write anew; so nothing here is
// random, and AES-GCM, which breaks when a nonce serves two plaintexts under one key, is used as a synthetic-IV scheme
// (like RFC 5297's SIV, one level up):
//
//	stream = zstd(container)
//	tag    = HMAC(HKDF(content key, "tag"), chunk size ‖ stream)
//	key    = HKDF(content key, "chunks" ‖ tag)
//	chunk  = AES-256-GCM(key, nonce: index, AAD: ID ‖ magic ‖ index ‖ count ‖ tag)
//
// This is sound because the key that encrypts is a function of everything that is encrypted. Two seals under the same
// content key either have the same chunk size and stream, then they make the same chunks and repeat the same
// ciphertext, which tells nothing but that they are equal; or they differ, then their tags differ (a collision of
// HMAC-SHA-256 aside, 2^-128), so they use unrelated keys, and under each key the nonces 0, 1, 2… serve one chunk each.
// A nonce derived from the ID and index alone would not do: a new version of the compressor makes another stream of the
// same layer, under the same ID. And the ID is not taken on trust: Seal computes it again.
//
// Open refuses a changed bit, a chunk that is missing, repeated, out of order, of another layer or of another encoding
// of the same layer (all of them are in the AAD), and a wrong key. It bounds what it unpacks, whoever made it.
//
// The key of each layer goes to a cluster wrapped with the cluster's key-encryption key (AES key wrap, RFC 3394, which is
// deterministic too): Wrap and Unwrap.
package layer
