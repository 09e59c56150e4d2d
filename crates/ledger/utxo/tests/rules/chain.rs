//! A chain in memory: the smallest thing that drives the ledger, without engine or store.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use chainwright_chain::{
    Admission, Attributes, Delta, Executed, Fault, HeadChange, Headers, Jobs, Ledger, Pool, PoolContext,
    Prepared, Refusal, Reject, Row, Rows, StateView, TableId, Timeline, Timestamp, Value, View, Visit,
    Weight,
};
use chainwright_utxo::Utxo;
use chainwright_utxo::block::Block;
use chainwright_utxo::hash::sha256;
use chainwright_utxo::params::{Parameters, bitcoin_regtest};
use chainwright_utxo::pool::TransactionPool;
use chainwright_utxo::script::{Script, witness_script_pubkey};
use chainwright_utxo::tx::Transaction;

/// Values by table and key.
type Map = HashMap<(TableId, Vec<u8>), Vec<u8>>;

const HEALTHY: &str = "no test panics while it holds the rows";

/// Rows in a map.
#[derive(Default)]
pub(crate) struct MemoryRows(RwLock<Map>);

impl MemoryRows {
    fn apply(&self, delta: &Delta) {
        let mut rows = self.0.write().expect(HEALTHY);
        for change in delta.iter() {
            let key = (change.table, change.key.to_vec());
            assert_eq!(rows.get(&key).map(Vec::as_slice), change.old, "a delta knows what was there");
            match change.new {
                Some(new) => drop(rows.insert(key, new.to_vec())),
                None => drop(rows.remove(&key)),
            }
        }
    }

    /// Everything, to compare.
    pub(crate) fn all(&self) -> std::collections::BTreeMap<(TableId, Vec<u8>), Vec<u8>> {
        self.0.read().expect(HEALTHY).iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl Rows for MemoryRows {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Value>, Fault> {
        Ok(self.0.read().expect(HEALTHY).get(&(table, key.to_vec())).map(|value| Value::from_slice(value)))
    }

    fn range(&self, _: TableId, _: &[u8], _: Option<&[u8]>, _: usize) -> Result<Vec<Row>, Fault> {
        Err(Fault::new("no ordered tables here"))
    }

    fn scan(&self, table: TableId, visit: Visit<'_>) -> Result<(), Fault> {
        let rows = self.0.read().expect(HEALTHY);
        rows.iter().filter(|((at, _), _)| *at == table).try_for_each(|((_, key), value)| visit(key, value))
    }
}

/// A block that is connected, and what it did.
pub(crate) struct Connected {
    pub(crate) block: Arc<Prepared<Utxo>>,
    pub(crate) executed: Executed<Utxo>,
}

/// A chain with a pool.
pub(crate) struct Chain {
    pub(crate) ledger: Utxo,
    pub(crate) rows: Arc<MemoryRows>,
    pub(crate) head: View<Utxo>,
    pub(crate) blocks: Vec<Connected>,
    pub(crate) pool: TransactionPool,
    pub(crate) now: u64,
    timeline: Timeline,
}

/// A standard script that anybody may spend with [`anyone_witness`].
pub(crate) fn anyone() -> Script {
    witness_script_pubkey(0, &sha256(&[0x51]))
}

/// The witness that spends [`anyone`].
pub(crate) fn anyone_witness() -> chainwright_utxo::tx::Witness {
    chainwright_utxo::tx::Witness::from_items([[0x51]])
}

impl Chain {
    pub(crate) fn regtest() -> Self {
        Self::new(bitcoin_regtest())
    }

    pub(crate) fn new(parameters: Parameters) -> Self {
        let ledger = Utxo::new(parameters);
        let (genesis, delta) = ledger.genesis();
        let rows = Arc::new(MemoryRows::default());
        rows.apply(&delta);
        let timeline = Timeline::new();
        let state = StateView::new(ledger.tables(), rows.clone(), timeline.pin());
        let now = u64::from(genesis.header.time) + 1;
        let headers = Headers::genesis(genesis.header, Weight::ZERO);
        let head = View { headers, state };
        Self { ledger, rows, head, blocks: Vec::new(), pool: TransactionPool::default(), now, timeline }
    }

    pub(crate) fn height(&self) -> u32 {
        self.head.headers.height().0
    }

    pub(crate) fn attributes(&self, payee: &Script) -> Attributes {
        let time = Timestamp(self.now.max(self.head.headers.median_time().0 + 1));
        Attributes { time, payee: payee.as_bytes().to_vec(), ..Attributes::default() }
    }

    /// The block that building gives, as a miner would send it.
    pub(crate) fn build(&self, payee: &Script) -> Block {
        self.ledger.build(&self.head, &self.attributes(payee), &self.pool).expect("blocks can be built").0
    }

    /// Everything that a driver asks of the ledger, jobs included.
    pub(crate) fn check(&self, block: Block) -> Result<(Arc<Prepared<Utxo>>, Executed<Utxo>), Reject> {
        self.ledger.check_header(&block.header, &self.head.headers)?;
        let prepared = Arc::new(self.ledger.prepare(block)?);
        self.ledger.check_body(&prepared, &self.head.headers)?;
        let mut jobs = Jobs::default();
        let executed = self.ledger.execute(&self.head, &prepared, &mut jobs)?;
        jobs.run().map_err(Reject::Invalid)?;
        Ok((prepared, executed))
    }

    fn step(&mut self, delta: &Delta, headers: Headers<Utxo>) {
        self.timeline.publish(delta.clone());
        self.rows.apply(delta);
        let state = StateView::new(self.ledger.tables(), self.rows.clone(), self.timeline.pin());
        self.head = View { headers, state };
    }

    fn attach(&mut self, block: Block) -> Result<Arc<Prepared<Utxo>>, Reject> {
        let (prepared, executed) = self.check(block)?;
        let headers = self.head.headers.child(prepared.block.header, Weight::ZERO);
        self.step(&executed.delta, headers);
        self.blocks.push(Connected { block: prepared.clone(), executed });
        Ok(prepared)
    }

    fn detach(&mut self) -> Arc<Prepared<Utxo>> {
        let last = self.blocks.pop().expect("a block above genesis");
        let parent = self.head.headers.parent().expect("a block above genesis");
        self.step(&last.executed.delta.inverse(), parent);
        last.block
    }

    fn tell_pool(&mut self, disconnected: &[Arc<Prepared<Utxo>>], connected: &[Arc<Prepared<Utxo>>]) {
        let change =
            HeadChange { disconnected, connected, steps: &[], head: &self.head, now: Timestamp(self.now) };
        self.pool.head_changed(&self.ledger, &change).expect("memory does not fail");
    }

    pub(crate) fn connect(&mut self, block: Block) -> Result<(), Reject> {
        let connected = self.attach(block)?;
        self.tell_pool(&[], &[connected]);
        Ok(())
    }

    /// Undoes `depth` blocks, the pool learning of it in one go, and connects others instead.
    pub(crate) fn reorganise(&mut self, depth: usize, blocks: Vec<Block>) {
        let disconnected: Vec<_> = (0..depth).map(|_| self.detach()).collect();
        let connected: Vec<_> =
            blocks.into_iter().map(|block| self.attach(block).expect("a good block")).collect();
        self.tell_pool(&disconnected, &connected);
    }

    /// Mines blocks to [`anyone`].
    pub(crate) fn mine(&mut self, count: u32) {
        for _ in 0..count {
            self.now += 1;
            let block = self.build(&anyone());
            self.connect(block).expect("what is built is valid");
        }
    }

    pub(crate) fn submit(&mut self, transaction: Transaction) -> Result<Admission, Refusal> {
        let at = PoolContext { head: &self.head, now: Timestamp(self.now), dry_run: false };
        self.pool.submit(&self.ledger, Arc::new(transaction), &at)
    }
}
