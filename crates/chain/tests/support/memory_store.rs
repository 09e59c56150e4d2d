//! A store in memory that can be told to fail and that survives its driver.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;

use bytes::Bytes;
use chainwright_chain::*;

#[derive(Default)]
pub struct Inner {
    rows: BTreeMap<(TableId, Vec<u8>), Vec<u8>>,
    bodies: HashMap<BlockId, Bytes>,
    connected: HashMap<BlockId, Connected>,
    /// Bodies whose bytes have changed.
    damaged: HashSet<BlockId>,
    records: Vec<Bytes>,
    head: Option<BlockId>,
    /// Writes that still succeed; `None` for all.
    pub writes_left: Option<usize>,
    /// Whether reading the journal fails.
    pub reads_fail: bool,
    /// Steps that fit into one record of the journal; `None` for any number.
    pub steps_max: Option<usize>,
    /// Syncs are tasks, or happen at once.
    pub syncs_later: bool,
    /// Syncs that still succeed; `None` for all.
    pub syncs_left: Option<usize>,
}

impl Inner {
    fn write(&mut self) -> Result<(), Fault> {
        match &mut self.writes_left {
            Some(0) => Err(Fault::new("no space left on device")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// As a bad disk may: changes a row behind everybody's back.
    pub fn damage_row(&mut self, table: TableId, key: &[u8]) {
        let value = self.rows.get_mut(&(table, key.to_vec())).expect("the row is there");
        value[0] ^= 1;
    }

    /// As a bad disk may: a stored block is not what it was.
    pub fn damage_body(&mut self, id: &BlockId) {
        assert!(self.bodies.contains_key(id));
        self.damaged.insert(*id);
    }

    fn sync(&mut self) -> Result<(), Fault> {
        match &mut self.syncs_left {
            Some(0) => Err(Fault::new("input/output error")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// As a power cut may: forgets a body the journal speaks of.
    pub fn lose_body(&mut self, id: &BlockId) {
        self.bodies.remove(id);
    }
}

#[derive(Clone, Default)]
pub struct MemoryStore(pub Arc<Mutex<Inner>>);

impl Rows for MemoryStore {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Value>, Fault> {
        Ok(self.0.lock().rows.get(&(table, key.to_vec())).map(|value| Value::from_slice(value)))
    }

    fn range(&self, table: TableId, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        let inner = self.0.lock();
        let rows = inner.rows.range((table, from.to_vec())..);
        let rows = rows.take_while(|((at, key), _)| *at == table && to.is_none_or(|to| &key[..] < to));
        Ok(rows
            .take(limit)
            .map(|((_, key), value)| (Value::from_slice(key), Value::from_slice(value)))
            .collect())
    }

    fn scan(&self, table: TableId, visit: Visit<'_>) -> Result<(), Fault> {
        let rows = Rows::range(self, table, &[], None, usize::MAX)?;
        rows.iter().try_for_each(|(key, value)| visit(key, value))
    }
}

impl Bodies for MemoryStore {
    fn body(&self, id: &BlockId) -> Result<Option<Bytes>, Fault> {
        let inner = self.0.lock();
        if inner.damaged.contains(id) {
            return Err(Fault::new("a checksum is wrong"));
        }
        Ok(inner.bodies.get(id).cloned())
    }
    fn has_body(&self, id: &BlockId) -> bool {
        self.0.lock().bodies.contains_key(id)
    }
    fn connected(&self, id: &BlockId) -> Result<Option<Connected>, Fault> {
        let inner = self.0.lock();
        if inner.reads_fail {
            return Err(Fault::new("the disk cannot be read"));
        }
        Ok(inner.connected.get(id).cloned())
    }
}

impl Store for MemoryStore {
    fn rows(&self) -> Arc<dyn Rows> {
        Arc::new(self.clone())
    }
    fn bodies(&self) -> Arc<dyn Bodies> {
        Arc::new(self.clone())
    }
    fn head(&self) -> Option<BlockId> {
        self.0.lock().head
    }
    fn records(&self) -> Result<Vec<Bytes>, Fault> {
        Ok(self.0.lock().records.clone())
    }
    fn put_record(&mut self, record: &[u8]) -> Result<(), Fault> {
        let mut inner = self.0.lock();
        inner.write()?;
        inner.records.push(Bytes::copy_from_slice(record));
        Ok(())
    }
    fn put_body(&mut self, id: BlockId, _: Height, bytes: &[u8]) -> Result<(), Fault> {
        let mut inner = self.0.lock();
        inner.write()?;
        assert!(!inner.damaged.contains(&id), "a damaged body is forgotten first");
        inner.bodies.insert(id, Bytes::copy_from_slice(bytes));
        Ok(())
    }
    fn journal(&mut self, steps: &[Step]) -> Result<(), Fault> {
        let mut inner = self.0.lock();
        inner.write()?;
        if inner.steps_max.is_some_and(|most| steps.len() > most) {
            return Err(Fault::new(format!("a record of {} steps is too large", steps.len())));
        }
        for step in steps {
            assert_eq!(inner.head.unwrap_or(BlockId::ZERO), step.from, "steps follow one another");
            inner.head = Some(step.to);
            if !inner.connected.contains_key(&step.from) || inner.connected[&step.from].parent != step.to {
                let connected = Connected {
                    parent: step.from,
                    delta: step.delta.clone(),
                    receipts: step.receipts.clone(),
                };
                inner.connected.insert(step.to, connected);
            }
        }
        Ok(())
    }
    fn apply(&mut self, step: &Step) {
        let mut inner = self.0.lock();
        for change in step.delta.iter() {
            let key = (change.table, change.key.to_vec());
            let before = match change.new {
                Some(new) => inner.rows.insert(key, new.to_vec()),
                None => inner.rows.remove(&key),
            };
            assert_eq!(before.as_deref(), change.old, "a delta remembers the old value");
        }
    }
    fn forget_body(&mut self, id: &BlockId) -> Result<(), Fault> {
        let mut inner = self.0.lock();
        inner.bodies.remove(id);
        inner.damaged.remove(id);
        Ok(())
    }
    fn sync_task(&mut self) -> Option<SyncTask> {
        let store = self.clone();
        let later = self.0.lock().syncs_later;
        later.then(|| -> SyncTask { Box::new(move || store.0.lock().sync()) })
    }
    fn maintenance(&mut self) -> Option<Task> {
        None
    }
    fn sync(&mut self) -> Result<(), Fault> {
        self.0.lock().sync()
    }
}
