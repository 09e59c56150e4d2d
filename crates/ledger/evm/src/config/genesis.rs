//! A genesis file: the rules, the first header and the first accounts of a chain.

use std::collections::{BTreeMap, BTreeSet};

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Address, B64, B256, Bytes, U256};

use super::json::{GenesisError, Node, address_from, word_from};
use super::{ChainConfig, Fork};

/// Geth's gas limit where a file names none.
const GAS_LIMIT: u64 = 4_712_388;

/// Geth's difficulty where a file names none and Ethash seals.
const DIFFICULTY: u64 = 131_072;

/// An account of the genesis block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// In wei.
    pub balance: U256,
    /// Transactions sent, or contracts created.
    pub nonce: u64,
    /// The code; empty for people.
    pub code: Bytes,
    /// Slots that are not zero.
    pub storage: BTreeMap<U256, U256>,
}

/// The beginning of a chain. Its header lacks the state root: that follows from the accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// The rules.
    pub config: ChainConfig,
    /// The first header.
    pub header: Header,
    /// The first accounts; one without anything exists all the same, as in geth.
    pub accounts: BTreeMap<Address, GenesisAccount>,
}

impl Genesis {
    /// A genesis without accounts, whose header is all zeros.
    pub fn empty(config: ChainConfig) -> Self {
        Self { config, header: Header::default(), accounts: BTreeMap::new() }
    }

    /// Reads a genesis file of geth or Besu.
    ///
    /// # Errors
    /// Where the file is not understood, and why; a key that could decide which blocks are valid is never ignored.
    pub fn from_json(text: &str) -> Result<Self, GenesisError> {
        let value = serde_json::from_str(text)
            .map_err(|error| GenesisError { path: String::new(), what: format!("not JSON: {error}") })?;
        let root = Node::root(&value);
        let (mut config, mut accounts, mut fields) = (None, None, Vec::new());
        for (key, member) in root.members()? {
            match key {
                "config" => config = Some(ChainConfig::from_json(&member)?),
                "alloc" => accounts = Some(read_accounts(&member)?),
                _ => fields.push((key.to_lowercase(), member)),
            }
        }
        let config = config.ok_or_else(|| root.wrong("config is missing"))?;
        let accounts = accounts.ok_or_else(|| root.wrong("alloc is missing"))?;
        let mut header = Header { gas_limit: 0, ..Header::default() };
        let mut has_difficulty = false;
        for (key, member) in fields {
            has_difficulty |= key == "difficulty";
            read_field(&mut header, &key, &member)?;
        }
        if !has_difficulty && config.terminal_total_difficulty != Some(U256::ZERO) {
            header.difficulty = U256::from(DIFFICULTY);
        }
        let mut genesis = Self { config, header, accounts };
        genesis.complete_header();
        Ok(genesis)
    }

    /// Fills in what a header of these rules must have and drops what it must not have (geth, `core/genesis.go`
    /// `toBlockWithRoot`). To be called again after rules were changed by hand.
    pub fn complete_header(&mut self) {
        let header = &mut self.header;
        if header.gas_limit == 0 {
            header.gas_limit = GAS_LIMIT;
        }
        // Geth looks at times alone here, whether the merge is behind or not.
        let fork = self.config.forks.at(header.number, header.timestamp, true);
        let london = self.config.forks.get(Fork::London).is_some_and(|at| at <= header.number);
        let from = |first: Fork| london && fork >= first;
        let initial = self.config.fees.base_fee.initial();
        header.base_fee_per_gas = london.then(|| header.base_fee_per_gas.unwrap_or(initial));
        header.withdrawals_root = from(Fork::Shanghai).then_some(EMPTY_ROOT_HASH);
        header.blob_gas_used = from(Fork::Cancun).then(|| header.blob_gas_used.unwrap_or(0));
        header.excess_blob_gas = from(Fork::Cancun).then(|| header.excess_blob_gas.unwrap_or(0));
        header.parent_beacon_block_root =
            from(Fork::Cancun).then(|| header.parent_beacon_block_root.unwrap_or_default());
        header.requests_hash = from(Fork::Prague).then_some(EMPTY_REQUESTS_HASH);
        header.ommers_hash = EMPTY_OMMER_ROOT_HASH;
    }
}

fn read_field(header: &mut Header, key: &str, member: &Node<'_>) -> Result<(), GenesisError> {
    match key {
        "nonce" => header.nonce = B64::from(member.number64()?),
        "timestamp" => header.timestamp = member.number64()?,
        "extradata" => header.extra_data = member.bytes()?,
        "gaslimit" => header.gas_limit = member.number64()?,
        "difficulty" => header.difficulty = member.number()?,
        "mixhash" => header.mix_hash = member.word()?,
        "coinbase" => header.beneficiary = member.address()?,
        "number" => {
            header.number = member.number64()?;
            if header.number != 0 {
                return Err(member.wrong("a chain begins at 0"));
            }
        }
        "gasused" => header.gas_used = member.number64()?,
        "parenthash" => header.parent_hash = member.word()?,
        "basefeepergas" => header.base_fee_per_gas = Some(member.number64()?),
        "excessblobgas" => header.excess_blob_gas = Some(member.number64()?),
        "blobgasused" => header.blob_gas_used = Some(member.number64()?),
        "parentbeaconblockroot" => header.parent_beacon_block_root = Some(member.word()?),
        "comment" => {}
        _ => return Err(member.wrong("unknown key")),
    }
    Ok(())
}

fn read_accounts(node: &Node<'_>) -> Result<BTreeMap<Address, GenesisAccount>, GenesisError> {
    let mut accounts = BTreeMap::new();
    for (key, member) in node.members()? {
        let address =
            address_from(key).ok_or_else(|| member.wrong("the key is not an address of 20 bytes"))?;
        if accounts.insert(address, read_account(&member)?).is_some() {
            return Err(member.wrong("the address stands in the file twice"));
        }
    }
    Ok(accounts)
}

fn read_account(node: &Node<'_>) -> Result<GenesisAccount, GenesisError> {
    let mut account = GenesisAccount::default();
    for (key, member) in node.members()? {
        match key {
            "balance" => account.balance = member.number()?,
            "nonce" => account.nonce = member.number64()?,
            "code" => account.code = member.bytes()?,
            "storage" => account.storage = read_storage(&member)?,
            // Words for people; keys of development accounts.
            "comment" | "privateKey" | "secretKey" => {}
            _ => return Err(member.wrong("unknown key")),
        }
    }
    Ok(account)
}

fn read_storage(node: &Node<'_>) -> Result<BTreeMap<U256, U256>, GenesisError> {
    let (mut storage, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for (key, member) in node.members()? {
        let slot: B256 = word_from(key).ok_or_else(|| member.wrong("the key is not a slot of 32 bytes"))?;
        if !seen.insert(slot) {
            return Err(member.wrong("the slot stands in the file twice"));
        }
        let value = U256::from_be_bytes(member.word()?.0);
        if !value.is_zero() {
            storage.insert(U256::from_be_bytes(slot.0), value);
        }
    }
    Ok(storage)
}
