//! Our side of a regtest chain: engine and ledger in the driver's order, on a store in memory.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use chainwright_chain::{
    Attributes, Consensus as _, Executed, Fault, Headers, Jobs, Ledger as _, Prepared, Reject, Row, Rows,
    StateView, TableId, Timeline, Timestamp, U256, Value, View, Visit, Weight,
};
use chainwright_pow::{Pow, Retarget, TargetRule};
use chainwright_utxo::Utxo;
use chainwright_utxo::block::Block;
use chainwright_utxo::params::bitcoin_regtest;
use chainwright_utxo::pool::TransactionPool;
use chainwright_utxo::script::Script;

type Key = (TableId, Vec<u8>);

#[derive(Default)]
struct MemoryRows(RwLock<HashMap<Key, Vec<u8>>>);

impl Rows for MemoryRows {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Value>, Fault> {
        let rows = self.0.read().expect("nobody panics with it");
        Ok(rows.get(&(table, key.to_vec())).map(|value| Value::from_slice(value)))
    }

    fn range(&self, _: TableId, _: &[u8], _: Option<&[u8]>, _: usize) -> Result<Vec<Row>, Fault> {
        Err(Fault::new("no ordered tables here"))
    }

    fn scan(&self, _: TableId, _: Visit<'_>) -> Result<(), Fault> {
        Err(Fault::new("nobody scans here"))
    }
}

/// A chain that only grows.
pub(crate) struct Chain {
    ledger: Utxo,
    pow: Pow,
    rows: Arc<MemoryRows>,
    timeline: Timeline,
    pub(crate) head: View<Utxo>,
}

/// A block that passed everything.
pub(crate) struct Checked {
    pub(crate) prepared: Arc<Prepared<Utxo>>,
    executed: Executed<Utxo>,
}

impl Chain {
    pub(crate) fn regtest() -> Self {
        let ledger = Utxo::new(bitcoin_regtest());
        let rule = Retarget {
            limit: U256::MAX >> 1,
            spacing_seconds: 600,
            timespan_seconds: 24 * 60 * 60,
            allow_min_difficulty: true,
            no_retarget: true,
            bip94: false,
        };
        let rows = Arc::new(MemoryRows::default());
        let timeline = Timeline::new();
        let state = StateView::new(ledger.tables(), rows.clone(), timeline.pin());
        let headers = Headers::genesis(ledger.genesis().0.header, Weight::ZERO);
        let pow = Pow::new(TargetRule::Bitcoin(rule));
        Self { ledger, pow, rows, timeline, head: View { headers, state } }
    }

    pub(crate) fn height(&self) -> u32 {
        self.head.headers.height().0
    }

    /// The block that our own building gives, not sealed yet.
    pub(crate) fn build(&self, payee: &Script) -> Block {
        let time = Timestamp(self.head.headers.median_time().0 + 1);
        let on = Attributes { time, payee: payee.as_bytes().to_vec(), ..Attributes::default() };
        self.ledger.build(&self.head, &on, &TransactionPool::default()).expect("blocks can be built").0
    }

    /// Seals a block whose target is one.
    pub(crate) fn seal(&self, block: &mut Block) -> bool {
        self.pow.is_sealed(&block.header)
            || chainwright_chain::Consensus::<Utxo>::seal(&self.pow, &mut block.header, &|| false)
    }

    /// What the driver asks of a header on the head.
    pub(crate) fn check_header(&self, header: &chainwright_utxo::block::BlockHeader) -> Result<(), Reject> {
        let seal = chainwright_chain::Consensus::<Utxo>::check_seal(&self.pow, header);
        if header.previous.0 != self.head.headers.id().0 {
            // The engine looks at the seal first, the driver at the parent.
            return seal.and(Err(Reject::MissingParent(chainwright_chain::BlockId(header.previous.0))));
        }
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
        self.pow.check_header(header, &self.head.headers, Timestamp(now))?;
        self.ledger.check_header(header, &self.head.headers)
    }

    /// What the driver asks of a block on the head.
    pub(crate) fn check(&self, block: Block) -> Result<Checked, Reject> {
        self.check_header(&block.header)?;
        let prepared = Arc::new(self.ledger.prepare(block)?);
        self.ledger.check_body(&prepared, &self.head.headers)?;
        let mut jobs = Jobs::default();
        let executed = self.ledger.execute(&self.head, &prepared, &mut jobs)?;
        jobs.run().map_err(Reject::Invalid)?;
        Ok(Checked { prepared, executed })
    }

    /// Makes a checked block the head.
    pub(crate) fn connect(&mut self, checked: &Checked) {
        let delta = &checked.executed.delta;
        self.timeline.publish(delta.clone());
        let mut rows = self.rows.0.write().expect("nobody panics with it");
        for change in delta.iter() {
            let key = (change.table, change.key.to_vec());
            match change.new {
                Some(new) => drop(rows.insert(key, new.to_vec())),
                None => drop(rows.remove(&key)),
            }
        }
        drop(rows);
        let headers = self.head.headers.child(checked.prepared.block.header, Weight::ZERO);
        let state = StateView::new(self.ledger.tables(), self.rows.clone(), self.timeline.pin());
        self.head = View { headers, state };
    }
}
