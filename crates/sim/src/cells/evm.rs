//! Ethereum's ledger under proof of work, and under one key: transfers, and a contract that counts its callers.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy_consensus::proofs::calculate_transaction_root;
use alloy_consensus::{Header, SignableTransaction as _, Transaction as _, TxEip1559};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, address, keccak256};
use chainwright_chain::{
    CompactTarget, Consensus, Header as _, Headers, Ledger as _, Proof, Timestamp, View,
};
use chainwright_evm::Evm;
use chainwright_evm::config::{ChainConfig, Fork, Genesis, GenesisAccount, SealRule};
use chainwright_evm::pool::PoolPolicy;
use chainwright_evm::state::{ACCOUNTS, AccountRow, STORAGE, StorageRow, account_key, storage_range};
use chainwright_evm::types::{EvmBlock, EvmTx, TxEnvelope, target_of};
use chainwright_network::Parameters as Wire;
use chainwright_pow::{Anchor, Asert, Pow, TargetRule, expand};
use chainwright_solo::{Sealing, SealingKey, Solo};
use secp256k1::{Message, SecretKey, ecdsa};

use crate::{Cell, Choice, Model, Random};

const CHAIN_ID: u64 = 4242;
/// Earlier than the simulator's time.
const GENESIS_SECONDS: u64 = 1_789_990_000;
/// Every fourth hash is good enough.
const DIFFICULTY: U256 = U256::from_limbs([4, 0, 0, 0]);
/// People with money.
const PEOPLE: u64 = 10;
/// Wei each of them has at first.
const RICHES: U256 = U256::from_limbs([10_000_000_000_000_000_000, 0, 0, 0]);
/// EIP-1559.
const FIRST_BASE_FEE: u64 = 1_000_000_000;

const COUNTER: Address = address!("c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0");
/// `storage[caller] += 1`: CALLER SLOAD PUSH1 1 ADD CALLER SSTORE STOP.
const COUNTER_CODE: Bytes = Bytes::from_static(&[0x33, 0x54, 0x60, 0x01, 0x01, 0x33, 0x55, 0x00]);

/// Gas of a plain transfer, and what counting adds: the first time a slot is set, and later.
const TRANSFER_GAS: u64 = 21_000;
const READ_GAS: u64 = 2 + 2_100 + 3 + 3 + 2;
const FIRST_COUNT_GAS: u64 = READ_GAS + 20_000;
const LATER_COUNT_GAS: u64 = READ_GAS + 2_900;
/// What a call of the counter may use.
const COUNT_GAS_LIMIT: u64 = 60_000;

fn genesis(seal: SealRule) -> Genesis {
    let mut config = ChainConfig::up_to(CHAIN_ID, Fork::Osaka);
    config.seal = seal;
    config.deposit_contract = None;
    let header = Header {
        gas_limit: 2_000_000,
        timestamp: GENESIS_SECONDS,
        difficulty: if seal == SealRule::Engine { DIFFICULTY } else { U256::ZERO },
        ..Header::default()
    };
    let rich = GenesisAccount { balance: RICHES, ..GenesisAccount::default() };
    let mut accounts: BTreeMap<_, _> = People::new().0.keys().map(|who| (*who, rich.clone())).collect();
    let counter = GenesisAccount { nonce: 1, code: COUNTER_CODE, ..GenesisAccount::default() };
    accounts.insert(COUNTER, counter);
    let mut genesis = Genesis { config, header, accounts };
    genesis.complete_header();
    genesis.add_system_contracts();
    genesis
}

/// Who signs.
struct People(BTreeMap<Address, SecretKey>);

impl People {
    fn new() -> Self {
        let person = |number: u64| {
            let secret = keccak256(number.to_be_bytes());
            let key = SecretKey::from_secret_bytes(secret.0).expect("a hash is a key");
            let public = secp256k1::PublicKey::from_secret_key(&key).serialize_uncompressed();
            (Address::from_slice(&keccak256(&public[1..])[12..]), key)
        };
        Self((0..PEOPLE).map(person).collect())
    }

    /// The transaction with its sender's signature.
    fn sign(&self, tx: TxEip1559, sender: Address) -> EvmTx {
        let digest = tx.signature_hash();
        let compact = ecdsa::sign(Message::from_digest(digest.0), &self.0[&sender]).serialize_compact();
        let number = |bytes: &[u8]| U256::from_be_slice(bytes);
        let signed = |parity: bool| {
            let signature = Signature::new(number(&compact[..32]), number(&compact[32..]), parity);
            EvmTx::new(TxEnvelope::from(tx.clone().into_signed(signature)))
        };
        // One of the two public keys that fit is the sender's.
        let even = signed(false);
        if even.sender().is_ok_and(|found| found == sender) { even } else { signed(true) }
    }
}

/// Accounts as a naive program keeps them: nonces, balances, counts, and what was burnt.
#[derive(Clone)]
pub struct EvmModel {
    people: Arc<People>,
    accounts: BTreeMap<Address, (u64, U256)>,
    counts: BTreeMap<Address, u64>,
    burnt: U256,
    supply: U256,
    /// Base fee, gas used and gas limit of the last block.
    last: (u64, u64, u64),
}

impl EvmModel {
    fn new() -> Self {
        let people = Arc::new(People::new());
        let accounts: BTreeMap<_, _> = people.0.keys().map(|who| (*who, (0, RICHES))).collect();
        let supply = RICHES * U256::from(accounts.len());
        let last = (FIRST_BASE_FEE, 0, 2_000_000);
        Self { people, accounts, counts: BTreeMap::new(), burnt: U256::ZERO, supply, last }
    }

    /// EIP-1559, written once more.
    fn next_base_fee(&self) -> u64 {
        let (fee, used, limit) = self.last;
        let target = limit / 2;
        let change = |distance: u64| u128::from(fee) * u128::from(distance) / u128::from(target) / 8;
        match used.cmp(&target) {
            core::cmp::Ordering::Greater => fee + (change(used - target) as u64).max(1),
            core::cmp::Ordering::Equal => fee,
            core::cmp::Ordering::Less => fee - change(target - used) as u64,
        }
    }

    fn gas_of(&self, tx: &EvmTx, sender: Address) -> u64 {
        match tx.to() {
            Some(COUNTER) if self.counts.contains_key(&sender) => TRANSFER_GAS + LATER_COUNT_GAS,
            Some(COUNTER) => TRANSFER_GAS + FIRST_COUNT_GAS,
            _ => TRANSFER_GAS,
        }
    }

    /// Takes and gives what a transaction moves, at a price per gas; returns the gas.
    fn pay(&mut self, tx: &EvmTx, gas_price: u128) -> Result<u64, String> {
        let sender = tx.sender().map_err(|error| error.to_string())?;
        let gas = self.gas_of(tx, sender);
        let fee = U256::from(gas) * U256::from(gas_price);
        let most = U256::from(tx.gas_limit()) * U256::from(tx.max_fee_per_gas());
        let from = self.accounts.entry(sender).or_default();
        if from.0 != tx.nonce() {
            return Err(format!("nonce {} where {} is next", tx.nonce(), from.0));
        }
        if from.1 < most + tx.value() {
            return Err(format!("{sender} has {} and pays up to {}", from.1, most + tx.value()));
        }
        *from = (from.0 + 1, from.1 - fee - tx.value());
        let to = tx.to().ok_or("no transaction of the simulator creates a contract")?;
        self.accounts.entry(to).or_default().1 += tx.value();
        if to == COUNTER {
            *self.counts.entry(sender).or_default() += 1;
        }
        Ok(gas)
    }

    fn total(&self) -> U256 {
        self.accounts.values().map(|(_, balance)| *balance).sum::<U256>() + self.burnt
    }

    /// A transaction that fits now, but is not signed.
    fn next(&self, random: &mut Random) -> (TxEip1559, Address) {
        let people: Vec<Address> = self.people.0.keys().copied().collect();
        let sender = people[random.index(people.len())];
        let tip = u128::from(random.below(3_000_000_000));
        let calls = random.percent(30);
        let to = if calls {
            COUNTER
        } else if random.percent(60) {
            people[random.index(people.len())]
        } else {
            Address::from_slice(&keccak256(random.below(1_000_000).to_be_bytes())[..20])
        };
        let value = if calls { 0 } else { random.below(1_000_000_000_000_000_000) };
        let tx = TxEip1559 {
            chain_id: CHAIN_ID,
            nonce: self.accounts[&sender].0,
            gas_limit: if calls { COUNT_GAS_LIMIT } else { TRANSFER_GAS },
            max_fee_per_gas: u128::from(self.last.0) * 2 + tip,
            max_priority_fee_per_gas: tip,
            to: TxKind::Call(to),
            value: U256::from(value),
            ..TxEip1559::default()
        };
        (tx, sender)
    }
}

impl Model<Evm> for EvmModel {
    fn apply(&mut self, block: &EvmBlock) -> Result<(), String> {
        let header = block.header.header();
        let base_fee = header.base_fee_per_gas.ok_or("no base fee")?;
        if base_fee != self.next_base_fee() {
            return Err(format!("base fee {base_fee}, not {}", self.next_base_fee()));
        }
        let mut used = 0;
        for tx in &block.transactions {
            let room = tx.max_fee_per_gas().checked_sub(base_fee.into()).ok_or("below the base fee")?;
            let tip = room.min(tx.max_priority_fee_per_gas().unwrap_or(room));
            let gas = self.pay(tx, tip + u128::from(base_fee))?;
            self.accounts.entry(header.beneficiary).or_default().1 += U256::from(gas) * U256::from(tip);
            self.burnt += U256::from(gas) * U256::from(base_fee);
            used += gas;
        }
        if header.gas_used != used || used > header.gas_limit {
            return Err(format!("gas {used}, the header says {} of {}", header.gas_used, header.gas_limit));
        }
        if self.total() != self.supply {
            return Err(format!("{} wei out of {}", self.total(), self.supply));
        }
        self.last = (base_fee, used, header.gas_limit);
        Ok(())
    }

    fn admits(&self, tx: &EvmTx) -> bool {
        let mut after = self.clone();
        after.pay(tx, tx.max_fee_per_gas()).is_ok()
    }

    fn apply_loose(&mut self, tx: &EvmTx) {
        let mut after = self.clone();
        // One that does not fit changes nothing.
        if after.pay(tx, tx.max_fee_per_gas()).is_ok() {
            *self = after;
        }
    }

    fn depends(&self, tx: &EvmTx, on: &EvmTx) -> bool {
        tx.sender().ok() == on.sender().ok() && tx.nonce() == on.nonce().wrapping_add(1)
    }

    fn is_reusable(&self, _: &EvmTx) -> bool {
        true
    }

    fn compare(&self, view: &View<Evm>) -> Result<(), String> {
        for (address, (nonce, balance)) in &self.accounts {
            let row = view.state.get(ACCOUNTS, &account_key(address)).map_err(|fault| fault.to_string())?;
            let row =
                row.map(|row| AccountRow::decode(&row)).transpose().map_err(|error| error.to_string())?;
            let found = row.map_or((0, U256::ZERO), |row| (row.nonce, row.balance));
            let nonce = if *address == COUNTER { 1 } else { *nonce };
            if found != (nonce, *balance) {
                return Err(format!("{address} is {found:?}, not {:?}", (nonce, balance)));
            }
        }
        let (from, to) = storage_range(&account_key(&COUNTER));
        let rows = view.state.range(STORAGE, &from, to.as_ref().map(|to| &to[..]), usize::MAX);
        let rows = rows.map_err(|fault| fault.to_string())?;
        let mut counts = BTreeMap::new();
        for (_, row) in &rows {
            let row = StorageRow::decode(row).map_err(|error| error.to_string())?;
            counts.insert(Address::from_slice(&row.slot.to_be_bytes::<32>()[12..]), row.value.to::<u64>());
        }
        if counts == self.counts { Ok(()) } else { Err(format!("counts {counts:?}, not {:?}", self.counts)) }
    }
}

fn transactions(model: &EvmModel, count: usize, random: &mut Random) -> Vec<EvmTx> {
    let mut model = model.clone();
    let mut made = Vec::new();
    while made.len() < count {
        let (tx, sender) = model.next(random);
        let signed = model.people.sign(tx.clone(), sender);
        model.apply_loose(&signed);
        made.push(signed);
        if random.percent(5) {
            // A rival with the same nonce, which may be worth a replacement.
            let fee = tx.max_fee_per_gas * u128::from(100 + random.below(30)) / 100;
            let rival = TxEip1559 { max_fee_per_gas: fee, max_priority_fee_per_gas: fee / 2, ..tx };
            made.push(model.people.sign(rival, sender));
        }
    }
    made
}

/// The body with one transaction more, and a header that commits to it if `commits`.
fn with_another(block: &EvmBlock, tx: EvmTx, commits: bool) -> EvmBlock {
    let mut other = block.clone();
    other.transactions.push(tx);
    if commits {
        let envelopes: Vec<_> = other.transactions.iter().map(|tx| tx.envelope().clone()).collect();
        other.header.alter(|header| header.transactions_root = calculate_transaction_root(&envelopes));
    }
    other
}

macro_rules! shared_parts {
    ($seal:expr) => {
        type Ledger = Evm;
        type Model = EvmModel;

        fn ledger(&self) -> Arc<Evm> {
            Arc::new(Evm::new(genesis($seal)).with_pool_policy(PoolPolicy::development()))
        }

        fn payee(&self, node: usize) -> Vec<u8> {
            vec![0xa0 + node as u8; 20]
        }

        fn network(&self) -> Wire<Evm> {
            let mut wire = Wire::new(*b"evm\0", 18556);
            wire.block_spacing_ms = 10_000;
            wire
        }

        fn model(&self) -> EvmModel {
            EvmModel::new()
        }

        fn transactions(&self, model: &EvmModel, count: usize, random: &mut Random) -> Vec<EvmTx> {
            transactions(model, count, random)
        }

        fn mutate(&self, block: &EvmBlock, random: &mut Random) -> Option<EvmBlock> {
            let model = EvmModel::new();
            let (tx, sender) = model.next(random);
            Some(with_another(block, model.people.sign(tx, sender), false))
        }

        /// A nonce is used twice, or one is left out.
        fn corrupt(&self, block: &EvmBlock, model: &EvmModel) -> Option<EvmBlock> {
            let twice = block.transactions.first().cloned();
            let gapped = || {
                let (tx, sender) = model.next(&mut Random::new(1));
                model.people.sign(TxEip1559 { nonce: tx.nonce + 1, ..tx }, sender)
            };
            Some(with_another(block, twice.unwrap_or_else(gapped), true))
        }

        fn set_time(&self, block: &mut EvmBlock, time: Timestamp) {
            block.header.alter(|header| header.timestamp = time.0);
        }
    };
}

/// Contracts under proof of work.
pub struct EvmOnPow;

impl Cell for EvmOnPow {
    const NAME: &'static str = "evm-pow";
    const CHOICE: Choice = Choice::Weight;

    fn new(_: u64) -> Self {
        Self
    }

    fn consensus(&self) -> Arc<dyn Consensus<Evm>> {
        let target: CompactTarget = target_of(DIFFICULTY);
        let anchor = Anchor { height: 0, parent_time: GENESIS_SECONDS - 10, target };
        let limit = expand(target).value;
        let rule = Asert { anchor, limit, spacing_seconds: 10, half_life_seconds: 3600 };
        let mut pow = Pow::new(TargetRule::Asert(rule));
        pow.hash = chainwright_pow::WorkHash::Keccak256;
        pow.time_step_seconds = 1;
        Arc::new(pow)
    }

    shared_parts!(SealRule::Engine);
}

/// Contracts where one key seals.
pub struct EvmOnSolo(SealingKey);

impl EvmOnSolo {
    fn solo(&self) -> Solo {
        let first = Evm::new(genesis(SealRule::Ethereum)).genesis().0.header.id();
        let mut solo = Solo::sealer(first, self.0.clone(), Sealing::OnRequest, Vec::new());
        solo.time_step_seconds = 1;
        solo
    }
}

impl Cell for EvmOnSolo {
    const NAME: &'static str = "evm-solo";
    const CHOICE: Choice = Choice::Proof;

    fn new(seed: u64) -> Self {
        let secret: B256 = keccak256(seed.to_be_bytes());
        Self(SealingKey::from_bytes(secret.0).expect("a hash is a key"))
    }

    fn consensus(&self) -> Arc<dyn Consensus<Evm>> {
        Arc::new(self.solo())
    }

    fn prove(&self, block: &Headers<Evm>) -> Option<Proof> {
        self.solo().proof_of(block.id(), block.height())
    }

    shared_parts!(SealRule::Ethereum);
}
