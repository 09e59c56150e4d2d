//! Tables that answer ranges: held in memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use chainwright_chain::{Row, TableId, Value};

/// All ordered tables; a point table has an empty place.
pub(crate) struct Ordered {
    tables: Vec<BTreeMap<Value, Value>>,
}

impl Ordered {
    pub(crate) fn new(tables: usize) -> Self {
        Self { tables: vec![BTreeMap::new(); tables] }
    }

    pub(crate) fn get(&self, table: TableId, key: &[u8]) -> Option<Value> {
        self.tables.get(usize::from(table.0))?.get(key).cloned()
    }

    pub(crate) fn set(&mut self, table: TableId, key: &[u8], new: Option<&[u8]>) {
        let Some(rows) = self.tables.get_mut(usize::from(table.0)) else { return };
        match new {
            Some(new) => drop(rows.insert(Value::from_slice(key), Value::from_slice(new))),
            None => drop(rows.remove(key)),
        }
    }

    pub(crate) fn range(&self, table: TableId, from: &[u8], to: Option<&[u8]>, limit: usize) -> Vec<Row> {
        let Some(rows) = self.tables.get(usize::from(table.0)) else { return Vec::new() };
        if to.is_some_and(|to| to <= from) {
            return Vec::new();
        }
        let end = to.map_or(Bound::Unbounded, Bound::Excluded);
        let found = rows.range::<[u8], _>((Bound::Included(from), end));
        found.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}
