//! Writes on top of a view.

use super::delta::Changes;
use super::{Change, Delta, Row, StateView, TableId, Value};
use crate::Fault;

/// A block being executed: reads see its own writes, old values are remembered on first touch.
pub struct Draft<'v> {
    base: &'v StateView,
    changes: Changes,
}

impl<'v> Draft<'v> {
    /// A draft that has changed nothing yet.
    pub fn new(base: &'v StateView) -> Self {
        Self { base, changes: Changes::default() }
    }

    /// The value of a row, this draft's writes included.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Value>, Fault> {
        match self.changes.find(table, key) {
            Some(at) => Ok(self.changes.change(at).new.map(Value::from_slice)),
            None => self.base.get(table, key),
        }
    }

    /// Sets a row (`Some`) or removes it (`None`) and returns what was there.
    ///
    /// # Errors
    /// A [`Fault`] of the disk; nothing is written then.
    pub fn replace(
        &mut self,
        table: TableId,
        key: &[u8],
        new: Option<&[u8]>,
    ) -> Result<Option<Value>, Fault> {
        if let Some(at) = self.changes.find(table, key) {
            let before = self.changes.change(at).new.map(Value::from_slice);
            self.changes.set_new(at, new);
            return Ok(before);
        }
        let before = self.base.get(table, key)?;
        let change = Change { table, key, old: before.as_deref(), new };
        self.changes.add(change, self.base.is_ordered(table));
        Ok(before)
    }

    /// Sets a row.
    ///
    /// # Errors
    /// A [`Fault`] of the disk; nothing is written then.
    pub fn put(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        self.replace(table, key, Some(value)).map(drop)
    }

    /// Sets a row that the view below certainly does not hold; saves looking. A wrong promise corrupts the way back.
    pub fn create(&mut self, table: TableId, key: &[u8], value: &[u8]) {
        if let Some(at) = self.changes.find(table, key) {
            self.changes.set_new(at, Some(value));
        } else {
            let change = Change { table, key, old: None, new: Some(value) };
            self.changes.add(change, self.base.is_ordered(table));
        }
    }

    /// Sets or removes a row whose value in the view below the caller has read already; saves looking again. A wrong
    /// `old` corrupts the way back; it does not count if this draft has touched the row before.
    pub fn change(&mut self, change: Change<'_>) {
        if let Some(at) = self.changes.find(change.table, change.key) {
            self.changes.set_new(at, change.new);
        } else {
            self.changes.add(change, self.base.is_ordered(change.table));
        }
    }

    /// Removes a row and returns what was there.
    ///
    /// # Errors
    /// A [`Fault`] of the disk; nothing is written then.
    pub fn take(&mut self, table: TableId, key: &[u8]) -> Result<Option<Value>, Fault> {
        self.replace(table, key, None)
    }

    /// As [`StateView::range`], this draft's writes included.
    ///
    /// # Errors
    /// A [`Fault`] of the disk, or when the table is not ordered.
    pub fn range(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, Fault> {
        let own: Vec<_> = self
            .changes
            .range(table, from)
            .take_while(|change| to.is_none_or(|to| change.key < to))
            .map(|change| (Value::from_slice(change.key), change.new.map(Value::from_slice)))
            .collect();
        let base = self.base.range(table, from, to, limit.saturating_add(own.len()))?;
        let mut merged: std::collections::BTreeMap<_, _> =
            base.into_iter().map(|(key, value)| (key, Some(value))).collect();
        merged.extend(own);
        Ok(merged.into_iter().filter_map(|(key, value)| Some((key, value?))).take(limit).collect())
    }

    /// The delta of all writes.
    pub fn finish(self) -> Delta {
        self.changes.finish()
    }
}
