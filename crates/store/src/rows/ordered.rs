//! Tables that answer ranges: held in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use chainwright_chain::{Row, TableId, Value};

/// A row of an ordered table as it stands after some step; `None` if it does not exist.
pub(crate) type OrderedChange = (TableId, Value, Option<Value>);

/// All ordered tables; a point table has an empty place.
pub(crate) struct Ordered {
    tables: Vec<BTreeMap<Value, Value>>,
    /// Rows that changed since the last freeze.
    dirty: BTreeSet<(TableId, Value)>,
}

impl Ordered {
    pub(crate) fn new(tables: usize) -> Self {
        Self { tables: vec![BTreeMap::new(); tables], dirty: BTreeSet::new() }
    }

    pub(crate) fn get(&self, table: TableId, key: &[u8]) -> Option<Value> {
        self.tables.get(usize::from(table.0))?.get(key).cloned()
    }

    /// Changes a row; returns about how many bytes the next flush grew.
    pub(crate) fn set(&mut self, table: TableId, key: &[u8], new: Option<&[u8]>) -> isize {
        self.load(table, key, new);
        let fresh = self.dirty.insert((table, Value::from_slice(key)));
        if fresh { (size_of::<OrderedChange>() + key.len() + new.map_or(0, <[u8]>::len)) as isize } else { 0 }
    }

    /// Sets a row that is on disk already.
    pub(crate) fn load(&mut self, table: TableId, key: &[u8], new: Option<&[u8]>) {
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

    /// Every row.
    pub(crate) fn all(self) -> Vec<OrderedChange> {
        let tables = self.tables.into_iter().enumerate();
        tables
            .flat_map(|(table, rows)| {
                rows.into_iter().map(move |(key, value)| (TableId(table as u8), key, Some(value)))
            })
            .collect()
    }

    /// What changed since the last call, as it stands now.
    pub(crate) fn freeze(&mut self) -> Vec<OrderedChange> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty
            .into_iter()
            .map(|(table, key)| {
                let value = self.get(table, &key);
                (table, key, value)
            })
            .collect()
    }
}

/// table 1 │ key length 4 │ key │ value length 4, `u32::MAX` if the row is gone │ value
pub(crate) fn encode(changes: &[OrderedChange], out: &mut Vec<u8>) {
    for (table, key, value) in changes {
        out.push(table.0);
        out.extend_from_slice(&(key.len() as u32).to_le_bytes());
        out.extend_from_slice(key);
        out.extend_from_slice(&value.as_ref().map_or(u32::MAX, |value| value.len() as u32).to_le_bytes());
        out.extend_from_slice(value.as_deref().unwrap_or_default());
    }
}

/// Shows what [`encode`] wrote to `visit`; `None` if it is something else.
pub(crate) fn decode(mut bytes: &[u8], mut visit: impl FnMut(TableId, &[u8], Option<&[u8]>)) -> Option<()> {
    while let Some((&table, rest)) = bytes.split_first() {
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        let (len, rest) = rest.split_first_chunk::<4>()?;
        let len = u32::from_le_bytes(*len);
        let (value, rest) = if len == u32::MAX {
            (None, rest)
        } else {
            let (value, rest) = rest.split_at_checked(len as usize)?;
            (Some(value), rest)
        };
        visit(TableId(table), key, value);
        bytes = rest;
    }
    Some(())
}
