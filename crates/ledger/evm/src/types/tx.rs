//! A signed transaction: its bytes, its hash and its sender, each found once.

use core::ops::Deref;
use std::sync::{Arc, OnceLock};

use alloy_consensus::transaction::RlpEcdsaEncodableTx;
use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{
    EthereumTxEnvelope, EthereumTypedTransaction, SignableTransaction, Transaction as _, TxEip4844,
    TxEip4844WithSidecar, TxLegacy,
};
use alloy_eips::Typed2718;
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_eips::eip4844::env_settings::EnvKzgSettings;
use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use alloy_primitives::{Address, B256, Signature, U256, keccak256};
use bytes::Bytes;
use chainwright_chain::{Codec, DecodeError, Task, TxId};

use super::rlp;

/// A signed transaction of any type as blocks hold it, without a sidecar.
pub type TxEnvelope = EthereumTxEnvelope<TxEip4844>;

/// Blobs with commitments and proofs, of EIP-4844's or EIP-7594's form.
pub type Sidecar = BlobTransactionSidecarVariant;

/// A signed transaction as peers and RPC send it: one with blobs brings its sidecar.
pub type PooledEnvelope = EthereumTxEnvelope<TxEip4844WithSidecar<Sidecar>>;

/// Blobs of one transaction (EIP-7594; geth `BlobTxMaxBlobs`).
pub const BLOBS_MAX: usize = 6;

/// EIP-4844.
const BLOB_TYPE: u8 = 3;

/// Half the order of secp256k1: a signature's `s` may not be larger since Homestead (EIP-2).
const HALF_ORDER: U256 = U256::from_be_slice(&[
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d,
    0x57, 0x6e, 0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
]);

/// How `r` begins in a transaction that nobody signed. The account it is of follows; `s` is 1.
const IMPERSONATED: [u8; 12] = *b"impersonated";

/// The RLP encoding with zeros for a signature, which no envelope has: a signed one's `v` is 27 or more.
fn unsigned_legacy(tx: &TxLegacy) -> Vec<u8> {
    const ZERO: u8 = 0x80;
    let mut fields = Vec::with_capacity(tx.rlp_encoded_fields_length() + 3);
    tx.rlp_encode_fields(&mut fields);
    fields.extend([ZERO; 3]);
    let mut raw = Vec::with_capacity(fields.len() + 4);
    alloy_rlp::Header { list: true, payload_length: fields.len() }.encode(&mut raw);
    raw.extend_from_slice(&fields);
    raw
}

/// No public key fits the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid transaction v, r, s values")]
pub struct RecoverError;

/// A signed transaction. Cheap to clone; clones share hash, sender and what is known of the blobs.
#[derive(Clone)]
pub struct EvmTx {
    shared: Arc<Shared>,
    blobs: Option<Arc<Blobs>>,
}

/// A sidecar beside one transaction, and what has been found out about it.
struct Blobs {
    sidecar: Arc<Sidecar>,
    relay_id: OnceLock<B256>,
    /// Why the proofs do not hold, if they do not.
    verdict: OnceLock<Result<(), String>>,
}

struct Shared {
    envelope: TxEnvelope,
    /// The EIP-2718 encoding as blocks hold it.
    raw: Bytes,
    hash: B256,
    sender: OnceLock<Address>,
}

impl EvmTx {
    /// Wraps a signed transaction.
    pub fn new(envelope: TxEnvelope) -> Self {
        let raw = Bytes::from(envelope.encoded_2718());
        Self::assemble(envelope, raw)
    }

    fn assemble(envelope: TxEnvelope, raw: Bytes) -> Self {
        let hash = keccak256(&raw);
        Self { shared: Arc::new(Shared { envelope, raw, hash, sender: OnceLock::new() }), blobs: None }
    }

    /// A transaction that nobody signed, as simulations show it: its signature is zeros, `v` included (geth,
    /// `internal/ethapi` `TransactionArgs.ToTransaction`).
    pub fn unsigned(tx: EthereumTypedTransaction<TxEip4844>, sender: Address) -> Self {
        let legacy = match &tx {
            EthereumTypedTransaction::Legacy(tx) => Some(unsigned_legacy(tx)),
            _ => None,
        };
        let envelope = TxEnvelope::from(tx.into_signed(Signature::new(U256::ZERO, U256::ZERO, false)));
        let raw = legacy.unwrap_or_else(|| envelope.encoded_2718());
        let unsigned = Self::assemble(envelope, Bytes::from(raw));
        unsigned.assume_sender(sender);
        unsigned
    }

    /// Wraps a signed transaction that may bring blobs.
    pub fn from_pooled(pooled: PooledEnvelope) -> Self {
        let mut sidecar = None;
        let envelope = pooled.map_eip4844(|tx| {
            let (tx, blobs) = tx.into_parts();
            sidecar = Some(Arc::new(blobs));
            tx
        });
        Self::new(envelope).with_sidecar(sidecar)
    }

    /// The same transaction with blobs beside it.
    #[must_use]
    pub fn with_sidecar(mut self, sidecar: Option<Arc<Sidecar>>) -> Self {
        self.blobs = sidecar
            .map(|sidecar| Arc::new(Blobs { sidecar, relay_id: OnceLock::new(), verdict: OnceLock::new() }));
        self
    }

    /// The same transaction as blocks hold it.
    #[must_use]
    pub fn without_sidecar(&self) -> Self {
        self.clone().with_sidecar(None)
    }

    /// Blobs, commitments and proofs, if they are at hand.
    pub fn sidecar(&self) -> Option<&Arc<Sidecar>> {
        self.blobs.as_ref().map(|blobs| &blobs.sidecar)
    }

    /// Whether the sidecar is that of the transaction, proofs by KZG included; milliseconds on first use.
    ///
    /// # Errors
    /// Why not, in words of the library that verifies; there is no sidecar, for example.
    pub fn verify_blobs(&self) -> Result<(), String> {
        let Some(blobs) = &self.blobs else { return Err("missing sidecar".to_owned()) };
        let verify = || {
            let hashes = self.blob_versioned_hashes().unwrap_or_default();
            let count = blobs.sidecar.blobs().len();
            // The library would make room for whatever numbers there are.
            if count > BLOBS_MAX || count != hashes.len() {
                return Err(format!("{count} blobs, {} hashes, at most {BLOBS_MAX}", hashes.len()));
            }
            let verified = blobs.sidecar.validate(hashes, EnvKzgSettings::Default.get());
            verified.map_err(|error| error.to_string())
        };
        blobs.verdict.get_or_init(verify).clone()
    }

    /// Does ahead what takes long in judging a transaction and depends on nothing else: recovering its sender and verifying
    /// its blobs. What is found stays with the transaction and its clones.
    pub fn prepare(&self) {
        let _ = (self.sender(), self.verify_blobs());
    }

    /// What [`EvmTx::verify_blobs`] has found, if it was asked.
    #[cfg(test)]
    pub(crate) fn is_verified(&self) -> Option<bool> {
        self.blobs.as_ref()?.verdict.get().map(Result::is_ok)
    }

    /// The signed fields. Prefer [`EvmTx::hash`] to the envelope's own, which may be computed again.
    pub fn envelope(&self) -> &TxEnvelope {
        &self.shared.envelope
    }

    /// Keccak-256 of [`EvmTx::raw`].
    pub fn hash(&self) -> B256 {
        self.shared.hash
    }

    /// The EIP-2718 encoding as blocks hold it, without a sidecar.
    pub fn raw(&self) -> &Bytes {
        &self.shared.raw
    }

    /// The sender, if somebody has recovered it already.
    pub fn known_sender(&self) -> Option<Address> {
        self.shared.sender.get().copied()
    }

    /// The sender; recovered from the signature on first use (about 40 µs). A high `s` is not refused here, see
    /// [`EvmTx::has_low_s`].
    ///
    /// # Errors
    /// When no key fits the signature.
    pub fn sender(&self) -> Result<Address, RecoverError> {
        if let Some(sender) = self.known_sender() {
            return Ok(sender);
        }
        let sender = self.envelope().recover_signer_unchecked().map_err(|_| RecoverError)?;
        Ok(*self.shared.sender.get_or_init(|| sender))
    }

    /// Takes a sender that was recovered from these very bytes before, or that a development chain impersonates.
    pub fn assume_sender(&self, sender: Address) {
        let _ = self.shared.sender.set(sender);
    }

    /// What stands in a transaction of an account whose key nobody here has. Development chains alone take it for one
    /// ([`ChainConfig::development`](crate::config::ChainConfig::development)); anywhere else it is the signature of
    /// whatever key fits it, which nobody holds.
    pub fn impersonating(sender: Address) -> Signature {
        let mut r = [0; 32];
        r[..12].copy_from_slice(&IMPERSONATED);
        r[12..].copy_from_slice(sender.as_slice());
        Signature::new(U256::from_be_bytes(r), U256::ONE, false)
    }

    /// Whose transaction it is where impersonation is allowed, if its signature is an impersonation.
    pub fn impersonated(&self) -> Option<Address> {
        let signature = self.envelope().signature();
        let r = signature.r().to_be_bytes::<32>();
        let sender = r.strip_prefix(&IMPERSONATED)?;
        (signature.s() == U256::ONE && !signature.v()).then(|| Address::from_slice(sender))
    }

    /// Whether the signature is of the lower half (EIP-2).
    pub fn has_low_s(&self) -> bool {
        self.envelope().signature().s() <= HALF_ORDER
    }

    /// Reads a transaction as blocks hold it, given its EIP-2718 bytes.
    pub(super) fn decode_in_block(raw: Bytes) -> Result<Self, DecodeError> {
        let envelope = TxEnvelope::decode_2718_exact(&raw)
            .map_err(|error| DecodeError::new(format!("transaction: {error}")))?;
        check_canonical(&envelope, &raw)?;
        Ok(Self::assemble(envelope, raw))
    }

    fn decode_with_sidecar(input: &Bytes) -> Result<Self, DecodeError> {
        let pooled = PooledEnvelope::decode_2718_exact(input)
            .map_err(|error| DecodeError::new(format!("transaction with blobs: {error}")))?;
        check_canonical(&pooled, input)?;
        let tx = Self::from_pooled(pooled);
        if let Some(blobs) = &tx.blobs {
            blobs.relay_id.get_or_init(|| keccak256(input));
        }
        Ok(tx)
    }

    /// Whether EIP-2718 bytes are of the form that brings a sidecar: a list in a list.
    fn brings_sidecar(input: &[u8]) -> bool {
        let Some((&BLOB_TYPE, mut rest)) = input.split_first() else { return false };
        rlp::list(&mut rest, "transaction")
            .is_ok_and(|fields| fields.first().is_some_and(|first| *first >= 0xc0))
    }
}

fn check_canonical(envelope: &impl Encodable2718, raw: &[u8]) -> Result<(), DecodeError> {
    if envelope.encode_2718_len() == raw.len() && envelope.encoded_2718() == raw {
        return Ok(());
    }
    Err(DecodeError::new("transaction: not the canonical encoding"))
}

impl Deref for EvmTx {
    type Target = TxEnvelope;

    fn deref(&self) -> &TxEnvelope {
        self.envelope()
    }
}

impl core::fmt::Debug for EvmTx {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("EvmTx")
            .field("hash", &self.hash())
            .field("envelope", self.envelope())
            .field("sidecar", &self.blobs.is_some())
            .finish_non_exhaustive()
    }
}

impl PartialEq for EvmTx {
    fn eq(&self, other: &Self) -> bool {
        self.hash() == other.hash() && self.sidecar() == other.sidecar()
    }
}

impl Eq for EvmTx {}

/// The EIP-2718 bytes; with the sidecar, when there is one, as peers send it.
impl Codec for EvmTx {
    fn encode(&self, out: &mut Vec<u8>) {
        match (self.sidecar(), self.envelope()) {
            (Some(sidecar), TxEnvelope::Eip4844(signed)) => {
                let (tx, signature) = (signed.tx().clone(), *signed.signature());
                let pooled = TxEip4844WithSidecar { tx, sidecar: Sidecar::clone(sidecar) };
                let signed = alloy_consensus::Signed::new_unchecked(pooled, signature, self.hash());
                PooledEnvelope::Eip4844(signed).encode_2718(out);
            }
            _ => out.extend_from_slice(self.raw()),
        }
    }

    fn decode(input: &Bytes) -> Result<Self, DecodeError> {
        if Self::brings_sidecar(input) {
            return Self::decode_with_sidecar(input);
        }
        Self::decode_in_block(input.clone())
    }
}

impl chainwright_chain::Transaction for EvmTx {
    fn id(&self) -> TxId {
        TxId(self.hash().0)
    }

    /// The hash covers no blobs: with them it is Keccak-256 of all that peers send, so that nobody can spoil a transaction's
    /// name by sending it with false ones. One whose blobs are missing goes by another name still, because its bytes are
    /// those of the hash.
    fn relay_id(&self) -> TxId {
        match &self.blobs {
            Some(blobs) => TxId(blobs.relay_id.get_or_init(|| keccak256(self.to_bytes())).0),
            None if self.ty() == BLOB_TYPE => TxId(keccak256([self.raw().as_ref(), &[0]].concat()).0),
            None => self.id(),
        }
    }

    fn work_ahead(&self) -> Option<Task> {
        self.blobs.as_ref()?;
        let tx = self.clone();
        Some(Box::new(move || tx.prepare()))
    }
}

impl From<TxEnvelope> for EvmTx {
    fn from(envelope: TxEnvelope) -> Self {
        Self::new(envelope)
    }
}

impl Typed2718 for EvmTx {
    fn ty(&self) -> u8 {
        self.envelope().ty()
    }
}
