//! Who signs: the accounts every development chain gives money to, and a contract to call.

use std::path::Path;

use alloy_consensus::crypto::secp256k1::sign_message;
use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, b256, hex};

/// The chain id of the preset `pow-evm`.
pub(crate) const CHAIN_ID: u64 = 31_338;

/// An account and its key.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    pub(crate) address: Address,
    key: B256,
}

pub(crate) const ALICE: Account = Account {
    address: address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
    key: b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
};
pub(crate) const BOB: Account = Account {
    address: address!("70997970C51812dc3A010C7d01b50e0d17dc79C8"),
    key: b256!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
};

/// The preset `pow-evm` as a file whose blocks may run ahead of the clock, a second each: tests mine many a second.
pub(crate) fn quick_chain(place: &Path) -> String {
    let text = std::fs::read_to_string(chainwright_tests::workspace().join("chains/pow-evm.toml"));
    let text = text.expect("the preset is there");
    assert!(text.contains("future_limit_seconds = 15"), "{text}");
    let file = place.join("quick.toml");
    let text = text.replace("future_limit_seconds = 15", "future_limit_seconds = 7200");
    std::fs::write(&file, text).expect("the folder is the test's");
    file.display().to_string()
}

/// A signed transaction.
pub(crate) struct Signed {
    pub(crate) hash: String,
    pub(crate) raw: String,
}

/// Writes its argument to the slot of whoever calls, and logs it: data caller, topic argument.
///
/// Deployed by `60 0d 80 60 09 5f 39 5f f3`; then `CALLDATALOAD(0) DUP1 CALLER SSTORE CALLER MSTORE(0) LOG1 STOP`.
pub(crate) const NOTEBOOK: &[u8] = &hex!("600d8060095f395ff35f35803355335f5260205fa100");

impl Account {
    /// A transaction of this account; fees are more than enough for any block of a test.
    pub(crate) fn sign(&self, nonce: u64, to: TxKind, value: u64, input: Bytes) -> Signed {
        let tx = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: 200_000,
            max_fee_per_gas: 20_000_000_000,
            max_priority_fee_per_gas: 1_000_000_000,
            to,
            value: U256::from(value),
            input,
            ..TxEip1559::default()
        };
        let signature = sign_message(self.key, tx.signature_hash()).expect("the key is a key");
        let envelope = TxEnvelope::from(tx.into_signed(signature));
        Signed {
            hash: envelope.tx_hash().to_string(),
            raw: format!("0x{}", hex::encode(envelope.encoded_2718())),
        }
    }

    /// Creates the notebook.
    pub(crate) fn deploy(&self, nonce: u64) -> Signed {
        self.sign(nonce, TxKind::Create, 0, Bytes::from_static(NOTEBOOK))
    }

    /// Writes a number into a notebook.
    pub(crate) fn note(&self, nonce: u64, notebook: Address, number: u64) -> Signed {
        let argument = U256::from(number).to_be_bytes::<32>();
        self.sign(nonce, TxKind::Call(notebook), 0, Bytes::copy_from_slice(&argument))
    }
}
