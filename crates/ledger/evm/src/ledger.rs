//! The ledger itself: this crate's rules behind the seam of `chainwright-chain`.

use std::sync::Arc;

use alloy_consensus::Header;
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{B256, KECCAK256_EMPTY, keccak256};
use alloy_trie::TrieAccount;
use alloy_trie::root::{state_root_unsorted, storage_root_unsorted};
use chainwright_chain::{
    Attributes, BlockId, Change, Delta, Executed, Headers, Jobs, Ledger, Prepared, Reject, TableId,
    TableSpec, View,
};
use parking_lot::Mutex;

use crate::config::{ChainConfig, Genesis, GenesisAccount};
use crate::execute::{Candidates, build_block, execute_block};
use crate::pool::{EvmPool, PoolPolicy};
use crate::rules::{self, BlockAttributes, EvmFacts};
use crate::senders::SenderCache;
use crate::state::{
    ACCOUNTS, AccountRow, CODE, CodeCache, Overlay, STORAGE, StorageRow, TABLES, account_key, storage_key,
};
use crate::trie::StateTrie;
use crate::types::{EvmBlock, EvmHeader, EvmReceipts, EvmTx};
use crate::wishes::Wishes;

/// Ethereum's ledger with the rules of one chain.
pub struct Evm {
    config: ChainConfig,
    genesis: (EvmBlock, Delta),
    pool_policy: PoolPolicy,
    senders: SenderCache,
    codes: CodeCache,
    wishes: Mutex<Wishes>,
}

impl Evm {
    /// The ledger of the chain that begins with `genesis`.
    pub fn new(genesis: Genesis) -> Self {
        let block = genesis_block(&genesis);
        Self {
            genesis: (block, genesis_delta(&genesis)),
            config: genesis.config,
            pool_policy: PoolPolicy::default(),
            senders: SenderCache::default(),
            codes: CodeCache::default(),
            wishes: Mutex::default(),
        }
    }

    /// The same ledger with another pool policy.
    #[must_use]
    pub fn with_pool_policy(mut self, policy: PoolPolicy) -> Self {
        self.pool_policy = policy;
        self
    }

    /// The rules.
    pub fn config(&self) -> &ChainConfig {
        &self.config
    }

    /// What the pool takes.
    pub fn pool_policy(&self) -> &PoolPolicy {
        &self.pool_policy
    }

    /// Senders that were recovered lately.
    pub fn senders(&self) -> &SenderCache {
        &self.senders
    }

    /// What blocks built here are to say; nothing in particular, but on development chains.
    pub fn wishes(&self) -> Wishes {
        *self.wishes.lock()
    }

    /// Changes what blocks built here are to say. Only a development chain's rules allow it.
    pub fn wish(&self, change: impl FnOnce(&mut Wishes)) {
        if self.config.development {
            change(&mut self.wishes.lock());
        }
    }

    /// The base fee of the block after `head` as it would be built here, in wei; `None` before London.
    pub fn next_base_fee(&self, head: &EvmHeader) -> Option<u64> {
        self.wishes().base_fee(&self.config, head)
    }

    /// Analysed code.
    pub fn codes(&self) -> &CodeCache {
        &self.codes
    }

    /// The state of a view, ready to execute on.
    pub fn overlay(&self, view: &View<Self>) -> Overlay {
        Overlay::new(view.state.clone(), Arc::new(view.headers.clone()), self.codes.clone())
    }

    /// A block on `parent` whose header is a [`rules::child_header`]; only the state root is not filled in. Withdrawals count
    /// from Shanghai on.
    ///
    /// # Errors
    /// As [`build_block`].
    pub fn build_on(
        &self,
        parent: &View<Self>,
        header: Header,
        withdrawals: &[Withdrawal],
        candidates: &mut impl Candidates,
    ) -> Result<(EvmBlock, Executed<Self>), Reject> {
        let withdrawals = header.withdrawals_root.map(|_| withdrawals.to_vec());
        let built = build_block(&self.config, self.overlay(parent), header, withdrawals, candidates)?;
        Ok((built.block, Executed { delta: built.delta, receipts: built.receipts }))
    }
}

impl Ledger for Evm {
    const NAME: &'static str = "evm";
    type Header = EvmHeader;
    type Tx = EvmTx;
    type Block = EvmBlock;
    type Facts = EvmFacts;
    type Receipts = EvmReceipts;
    type Index = StateTrie;
    type Pool = EvmPool;

    fn tables(&self) -> &'static [TableSpec] {
        TABLES
    }

    fn genesis(&self) -> (EvmBlock, Delta) {
        self.genesis.clone()
    }

    fn check_header(&self, header: &EvmHeader, parent: &Headers<Self>) -> Result<(), Reject> {
        rules::check_header(&self.config, header, parent)
    }

    fn prepare(&self, block: EvmBlock) -> Result<Prepared<Self>, Reject> {
        let facts = rules::prepare(&self.config, &self.senders, &block)?;
        Ok(Prepared { id: BlockId(block.header.hash().0), block, facts })
    }

    fn check_body(&self, block: &Prepared<Self>, parent: &Headers<Self>) -> Result<(), Reject> {
        rules::check_body(&self.config, &block.block, parent)
    }

    fn execute(
        &self,
        parent: &View<Self>,
        block: &Arc<Prepared<Self>>,
        jobs: &mut Jobs,
    ) -> Result<Executed<Self>, Reject> {
        let ommers = rules::name_ommers(&parent.state, &block.block)?;
        let (mut delta, receipts) =
            execute_block(&self.config, self.overlay(parent), &block.block, &block.facts.senders, jobs)?;
        if let Some(ommers) = ommers {
            delta = Delta::merged([&delta, &ommers], |table| parent.state.is_ordered(table));
        }
        Ok(Executed { delta, receipts })
    }

    fn build(
        &self,
        parent: &View<Self>,
        on: &Attributes,
        pool: &EvmPool,
    ) -> Result<(EvmBlock, Executed<Self>), Reject> {
        let on = BlockAttributes::from_engine(on)?;
        let mut header = rules::child_header(&self.config, &parent.headers, &on);
        self.wishes().fulfil(&mut header);
        let blob_fee = rules::header_blob_fee(&self.config, &header).unwrap_or(0);
        let mut best = pool.best(header.base_fee_per_gas.unwrap_or(0), blob_fee);
        self.build_on(parent, header, &on.withdrawals, &mut best)
    }

    fn is_amendable(&self) -> bool {
        self.config.development
    }

    fn check_state(&self, at: &View<Self>) -> Result<(), Reject> {
        crate::state::check_rows(self.config(), at)
    }

    /// As people write them in Ethereum.
    fn show_id(bytes: &[u8; 32]) -> String {
        B256::from(*bytes).to_string()
    }
}

fn code_hash(account: &GenesisAccount) -> B256 {
    if account.code.is_empty() { KECCAK256_EMPTY } else { keccak256(&account.code) }
}

fn genesis_block(genesis: &Genesis) -> EvmBlock {
    let accounts = genesis.accounts.iter().map(|(address, account)| {
        let slots = account.storage.iter().map(|(slot, value)| (B256::from(*slot), *value));
        let account = TrieAccount {
            nonce: account.nonce,
            balance: account.balance,
            storage_root: storage_root_unsorted(slots.map(|(slot, value)| (keccak256(slot), value))),
            code_hash: code_hash(account),
        };
        (keccak256(address), account)
    });
    let header = Header { state_root: state_root_unsorted(accounts), ..genesis.header.clone() };
    EvmBlock {
        withdrawals: header.withdrawals_root.map(|_| Vec::new()),
        header: EvmHeader::new(header),
        transactions: Vec::new(),
        ommers: Vec::new(),
    }
}

/// A row to be: table, key, value.
type NewRow = (TableId, Vec<u8>, Vec<u8>);

fn genesis_delta(genesis: &Genesis) -> Delta {
    let mut rows: Vec<NewRow> = Vec::new();
    let mut codes = std::collections::BTreeMap::new();
    for (address, account) in &genesis.accounts {
        let key = account_key(address);
        let code_hash = code_hash(account);
        let row = AccountRow { address: *address, nonce: account.nonce, balance: account.balance, code_hash };
        rows.push((ACCOUNTS, key.to_vec(), row.encode().to_vec()));
        for (&slot, &value) in &account.storage {
            rows.push((
                STORAGE,
                storage_key(&key, slot).to_vec(),
                StorageRow { slot, value }.encode().to_vec(),
            ));
        }
        if !account.code.is_empty() {
            codes.insert(code_hash, account.code.to_vec());
        }
    }
    rows.extend(codes.into_iter().map(|(hash, code)| (CODE, hash.to_vec(), code)));
    Delta::from_changes(rows.iter().map(|(table, key, value)| Change {
        table: *table,
        key,
        old: None,
        new: Some(value),
    }))
}
