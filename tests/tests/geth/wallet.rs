//! Keys, nonces and signed transactions of every type.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use alloy_consensus::crypto::secp256k1::sign_message;
use alloy_consensus::transaction::RlpEcdsaEncodableTx;
use alloy_consensus::{
    SignableTransaction, Signed, TxEip1559, TxEip2930, TxEip4844, TxEip4844WithSidecar, TxEip7702, TxLegacy,
};
use alloy_eips::eip2930::AccessList;
use alloy_eips::eip4844::Blob;
use alloy_eips::eip7594::BlobTransactionSidecarEip7594;
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, keccak256};

/// The chain id of the test's chains.
pub(crate) const CHAIN_ID: u64 = 77_077;
/// How many accounts send plain transactions.
pub(crate) const SENDERS: usize = 8;
/// Accounts that send blobs: the pool keeps them apart.
pub(crate) const BLOB_SENDERS: usize = 2;
/// Accounts that delegate to contracts (EIP-7702) and send nothing themselves.
pub(crate) const AUTHORITIES: usize = 6;

/// In wei: far above any base fee here.
const FEE_CAP: u128 = 20_000_000_000;
const TIP: u128 = 1_000_000_000;

/// A key and its account.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    secret: B256,
    pub(crate) address: Address,
}

impl Key {
    fn new(name: &str) -> Self {
        let secret = keccak256(name);
        let hash = B256::repeat_byte(1);
        let signature = sign_message(secret, hash).unwrap();
        Self { secret, address: signature.recover_address_from_prehash(&hash).unwrap() }
    }

    fn sign<T: SignableTransaction<alloy_primitives::Signature> + RlpEcdsaEncodableTx>(
        &self,
        tx: T,
    ) -> Bytes {
        let signature = sign_message(self.secret, tx.signature_hash()).unwrap();
        encoded(&tx.into_signed(signature))
    }
}

fn encoded<T: RlpEcdsaEncodableTx>(signed: &Signed<T>) -> Bytes {
    let mut out = Vec::new();
    signed.eip2718_encode(&mut out);
    out.into()
}

/// What a transaction does, whatever its type.
#[derive(Clone, Default)]
pub(crate) struct Deed {
    pub(crate) to: Option<Address>,
    pub(crate) value: U256,
    pub(crate) gas: u64,
    pub(crate) input: Bytes,
}

/// All keys and how far they have got.
pub(crate) struct Wallet {
    pub(crate) senders: Vec<Key>,
    pub(crate) blob_senders: Vec<Key>,
    pub(crate) authorities: Vec<Key>,
    nonces: BTreeMap<Address, u64>,
}

fn keys(name: &str, count: usize) -> Vec<Key> {
    (0..count).map(|number| Key::new(&format!("{name} {number}"))).collect()
}

impl Wallet {
    pub(crate) fn new() -> Self {
        Self {
            senders: keys("sender", SENDERS),
            blob_senders: keys("blob sender", BLOB_SENDERS),
            authorities: keys("authority", AUTHORITIES),
            nonces: BTreeMap::new(),
        }
    }

    /// Accounts that own something from the beginning.
    pub(crate) fn rich() -> Vec<Address> {
        let wallet = Self::new();
        let all = wallet.senders.iter().chain(&wallet.blob_senders).chain(&wallet.authorities[..2]);
        all.map(|key| key.address).collect()
    }

    fn next_nonce(&mut self, of: Address) -> u64 {
        let nonce = self.nonces.entry(of).or_default();
        *nonce += 1;
        *nonce - 1
    }

    /// The contract this account's next transaction makes.
    pub(crate) fn next_contract(&self, of: Address) -> Address {
        of.create(self.nonces.get(&of).copied().unwrap_or_default())
    }

    /// EIP-155.
    pub(crate) fn legacy(&mut self, key: Key, deed: Deed) -> Bytes {
        key.sign(TxLegacy {
            chain_id: Some(CHAIN_ID),
            nonce: self.next_nonce(key.address),
            gas_price: FEE_CAP,
            gas_limit: deed.gas,
            to: deed.to.into(),
            value: deed.value,
            input: deed.input,
        })
    }

    /// A signature that holds on every chain.
    pub(crate) fn without_chain(&mut self, key: Key, deed: Deed) -> Bytes {
        key.sign(TxLegacy {
            chain_id: None,
            nonce: self.next_nonce(key.address),
            gas_price: FEE_CAP,
            gas_limit: deed.gas,
            to: deed.to.into(),
            value: deed.value,
            input: deed.input,
        })
    }

    /// EIP-2930.
    pub(crate) fn with_access_list(&mut self, key: Key, deed: Deed, access_list: AccessList) -> Bytes {
        key.sign(TxEip2930 {
            chain_id: CHAIN_ID,
            nonce: self.next_nonce(key.address),
            gas_price: FEE_CAP,
            gas_limit: deed.gas,
            to: deed.to.into(),
            value: deed.value,
            input: deed.input,
            access_list,
        })
    }

    /// EIP-1559.
    pub(crate) fn dynamic(&mut self, key: Key, deed: Deed) -> Bytes {
        key.sign(TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: self.next_nonce(key.address),
            gas_limit: deed.gas,
            max_fee_per_gas: FEE_CAP,
            max_priority_fee_per_gas: TIP,
            to: deed.to.map_or(TxKind::Create, TxKind::Call),
            value: deed.value,
            access_list: AccessList::default(),
            input: deed.input,
        })
    }

    /// EIP-4844, with its blobs beside it as Osaka wants them.
    pub(crate) fn blobs(&mut self, key: Key, deed: Deed) -> Bytes {
        let sidecar = sidecar();
        let tx = TxEip4844 {
            chain_id: CHAIN_ID,
            nonce: self.next_nonce(key.address),
            gas_limit: deed.gas,
            max_fee_per_gas: FEE_CAP,
            max_priority_fee_per_gas: TIP,
            to: deed.to.unwrap_or_default(),
            value: deed.value,
            access_list: AccessList::default(),
            blob_versioned_hashes: sidecar.versioned_hashes().collect(),
            max_fee_per_blob_gas: TIP,
            input: deed.input,
        };
        let signature = sign_message(key.secret, tx.signature_hash()).unwrap();
        encoded(&TxEip4844WithSidecar { tx, sidecar: sidecar.clone() }.into_signed(signature))
    }

    /// EIP-7702: authorities delegate to contracts; an address of zeros ends a delegation.
    pub(crate) fn delegating(&mut self, key: Key, deed: Deed, to: &[(Key, Address)]) -> Bytes {
        let nonce = self.next_nonce(key.address);
        let authorization_list =
            to.iter().map(|(authority, code)| self.authorize(*authority, *code)).collect();
        key.sign(TxEip7702 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: deed.gas,
            max_fee_per_gas: FEE_CAP,
            max_priority_fee_per_gas: TIP,
            to: deed.to.unwrap_or_default(),
            value: deed.value,
            access_list: AccessList::default(),
            authorization_list,
            input: deed.input,
        })
    }

    fn authorize(&mut self, authority: Key, address: Address) -> SignedAuthorization {
        let nonce = self.next_nonce(authority.address);
        let authorization = Authorization { chain_id: U256::from(CHAIN_ID), address, nonce };
        let signature = sign_message(authority.secret, authorization.signature_hash()).unwrap();
        authorization.into_signed(signature)
    }
}

/// Two blobs with their proofs, computed once.
fn sidecar() -> &'static BlobTransactionSidecarEip7594 {
    static MADE: OnceLock<BlobTransactionSidecarEip7594> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut second = Blob::default();
        // A small field element; they are big-endian.
        second[31] = 7;
        BlobTransactionSidecarEip7594::try_from_blobs(vec![Blob::default(), second]).unwrap()
    })
}
