//! Reading the state as it stands at one block.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Delta, Pin, Row, TableId, TableKind, TableSpec, Value};
use crate::Fault;

/// Layers up to this many are kept as they are; beyond it small ones are merged, so that a long candidate branch is read
/// through O(log n) layers.
const LAYERS_PLAIN: usize = 16;

/// The newest version of every row, readable from any thread; implemented by the store.
pub trait Rows: Send + Sync {
    /// The value of a row.
    ///
    /// # Errors
    /// A [`Fault`] when the disk fails or what it returns is damaged.
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Value>, Fault>;

    /// Up to `limit` rows of an ordered table with `from <= key` and, if given, `key < to`, in key order.
    ///
    /// # Errors
    /// As [`Rows::get`].
    fn range(&self, table: TableId, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault>;

    /// Shows every row of a table once, in any order, as they all stood at one moment before the first was shown.
    ///
    /// # Errors
    /// As [`Rows::get`]; the first [`Fault`] that `visit` returns; where rows cannot be listed.
    fn scan(&self, table: TableId, visit: Visit<'_>) -> Result<(), Fault> {
        let _ = visit;
        Err(Fault::new(format!("this store cannot list the rows of table {}", table.0)))
    }
}

/// What a scan shows each row to: key, value.
pub type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> Result<(), Fault>;

/// The state at one block. Cheap to clone, never changes.
#[derive(Clone)]
pub struct StateView {
    tables: &'static [TableSpec],
    rows: Arc<dyn Rows>,
    pin: Pin,
    /// Candidate blocks above the rows, oldest first.
    layers: Arc<Vec<Delta>>,
}

impl StateView {
    /// The state where the rows stood when `pin` was taken.
    pub fn new(tables: &'static [TableSpec], rows: Arc<dyn Rows>, pin: Pin) -> Self {
        Self { tables, rows, pin, layers: Arc::new(Vec::new()) }
    }

    /// The same state after one more delta.
    #[must_use]
    pub fn with_layer(&self, delta: Delta) -> Self {
        let mut layers = Vec::with_capacity(self.layers.len() + 1);
        layers.extend(self.layers.iter().cloned());
        layers.push(delta);
        while let [.., below, top] = layers.as_slice()
            && layers.len() > LAYERS_PLAIN
            && below.memory() <= 2 * top.memory()
        {
            let merged = Delta::merged([below, top], |table| self.is_ordered(table));
            layers.truncate(layers.len() - 2);
            layers.push(merged);
        }
        Self { layers: Arc::new(layers), ..self.clone() }
    }

    /// The tables of the ledger.
    pub fn tables(&self) -> &'static [TableSpec] {
        self.tables
    }

    /// Whether a table answers [`StateView::range`].
    pub fn is_ordered(&self, table: TableId) -> bool {
        self.tables.get(usize::from(table.0)).is_some_and(|spec| spec.kind == TableKind::Ordered)
    }

    /// The value of a row.
    ///
    /// # Errors
    /// A [`Fault`] of the disk.
    pub fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Value>, Fault> {
        if let Some(change) = self.layers.iter().rev().find_map(|layer| layer.get(table, key)) {
            return Ok(change.new.map(Value::from_slice));
        }
        // The row first, the steps after the pin second: a step is published before its rows move.
        let newest = self.rows.get(table, key)?;
        Ok(match self.pin.later().find_map(|step| step.get(table, key)) {
            Some(change) => change.old.map(Value::from_slice),
            None => newest,
        })
    }

    /// Up to `limit` rows of an ordered table with `from <= key` and, if given, `key < to`, in key order.
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
        if !self.is_ordered(table) {
            return Err(Fault::new(format!("table {} does not answer ranges", table.0)));
        }
        loop {
            // Every override hides at most one row, so this many rows are enough.
            let expected = self.overrides(table, from, to).len();
            let newest = self.rows.range(table, from, to, limit.saturating_add(expected))?;
            let overrides = self.overrides(table, from, to);
            if overrides.len() > expected {
                continue;
            }
            let mut merged: BTreeMap<Value, Option<Value>> =
                newest.into_iter().map(|(key, value)| (key, Some(value))).collect();
            merged.extend(overrides);
            let rows = merged.into_iter().filter_map(|(key, value)| Some((key, value?)));
            return Ok(rows.take(limit).collect());
        }
    }

    /// Shows every row of a table once, in any order, as it stands in this view.
    ///
    /// # Errors
    /// A [`Fault`] of the disk, or the first that `visit` returns.
    pub fn scan(&self, table: TableId, visit: Visit<'_>) -> Result<(), Fault> {
        // A step is published before its rows move. So whatever the listed rows hold of later steps was published
        // before the first row is shown, and steps published afterwards are not in them.
        let mut touched: Option<BTreeMap<Value, Option<Value>>> = None;
        self.rows.scan(table, &mut |key, value| {
            let touched = touched.get_or_insert_with(|| self.touched(table));
            if touched.contains_key(key) { Ok(()) } else { visit(key, value) }
        })?;
        let touched = touched.unwrap_or_else(|| self.touched(table));
        touched.iter().try_for_each(|(key, value)| match value {
            Some(value) => visit(key, value),
            None => Ok(()),
        })
    }

    /// Rows of the table on which this view may differ from the newest rows.
    fn touched(&self, table: TableId) -> BTreeMap<Value, Option<Value>> {
        let mut found = BTreeMap::new();
        for step in self.pin.later() {
            for change in step.iter().filter(|change| change.table == table) {
                found
                    .entry(Value::from_slice(change.key))
                    .or_insert_with(|| change.old.map(Value::from_slice));
            }
        }
        for layer in self.layers.iter() {
            for change in layer.iter().filter(|change| change.table == table) {
                found.insert(Value::from_slice(change.key), change.new.map(Value::from_slice));
            }
        }
        found
    }

    /// Rows of the range on which this view differs from the newest rows.
    fn overrides(&self, table: TableId, from: &[u8], to: Option<&[u8]>) -> BTreeMap<Value, Option<Value>> {
        let within = |key: &[u8]| to.is_none_or(|to| key < to);
        let mut found = BTreeMap::new();
        for step in self.pin.later() {
            for change in step.range(table, from).take_while(|change| within(change.key)) {
                found
                    .entry(Value::from_slice(change.key))
                    .or_insert_with(|| change.old.map(Value::from_slice));
            }
        }
        for layer in self.layers.iter() {
            for change in layer.range(table, from).take_while(|change| within(change.key)) {
                found.insert(Value::from_slice(change.key), change.new.map(Value::from_slice));
            }
        }
        found
    }
}
