//! What the shell reads of any chain, whatever its ledger: the head, the pool's size, and events.

use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{
    Block as _, BlockId, Codec as _, Cursor, Delta, Event, EventBlock, Fault, Header as _, Height, Ledger,
    Notice, Pool as _, Published, Timestamp, Transaction as _,
};
use futures_channel::mpsc;
use hex_conservative::DisplayHex as _;
use serde_json::{Value, json};

/// One block as the shell shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeadInfo {
    /// Its height.
    pub height: Height,
    /// Its id as people write it.
    pub id: String,
    /// Its time, as it claims itself.
    pub time: Timestamp,
}

/// The chain's figures for health and metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainFigures {
    /// The published head.
    pub head: HeadInfo,
    /// Height of the heaviest valid header.
    pub best_header: Height,
    /// Height of the last final block, if the engine knows finality.
    pub finalized: Option<Height>,
    /// The disk fault that stopped the chain.
    pub fault: Option<String>,
}

/// What an event line shows beside its block's id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventDetail {
    /// The block's bytes in hex.
    pub block: bool,
    /// Every change of the state.
    pub delta: bool,
    /// What execution reported, in the ledger's encoding, in hex.
    pub receipts: bool,
}

/// Why no events can be given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// The cursor is not `HEIGHT:ID`.
    #[error("a cursor has the form HEIGHT:ID; give back the one of the last event that was processed")]
    Malformed,
    /// The cursor's block is not known here, or does not stand at that height.
    #[error("no block {0} is known here; start again without a cursor")]
    UnknownCursor(String),
    /// The disk failed, or a block on the way is not stored any more.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A chain without its type parameter.
pub trait Probe: Send + Sync + 'static {
    /// Figures of this moment; cheap.
    fn figures(&self) -> ChainFigures;

    /// Transactions in the pool and their encoded bytes; looks at each of them.
    fn pool_size(&self) -> (usize, usize);

    /// Whether a block is part of the published chain.
    fn is_active(&self, id: &BlockId) -> bool;

    /// Hints about changes from now on.
    fn subscribe(&self) -> mpsc::Receiver<Notice>;

    /// A page of events after a cursor; empty if there are none.
    ///
    /// # Errors
    /// [`EventsError`].
    fn events(
        &self,
        cursor: Option<&str>,
        page: Page,
        detail: EventDetail,
    ) -> Result<Vec<EventLine>, EventsError>;
}

/// How much is read at a time: it ends with the line that reaches either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Lines.
    pub lines: usize,
    /// Bytes of them.
    pub bytes: usize,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct EventLine {
    /// Where the consumer stands after it, `HEIGHT:ID`.
    pub cursor: String,
    /// What is sent: a JSON object.
    pub text: String,
}

/// The probe of a chain with ledger `L`.
pub struct LedgerProbe<L: Ledger>(Arc<Published<L>>);

impl<L: Ledger> LedgerProbe<L> {
    /// A probe that reads what a chain publishes.
    pub fn new(published: Arc<Published<L>>) -> Self {
        Self(published)
    }

    fn cursor(&self, text: &str) -> Result<Cursor, EventsError> {
        let (height, id) = text.split_once(':').ok_or(EventsError::Malformed)?;
        let height = Height(height.parse().map_err(|_| EventsError::Malformed)?);
        let id = read_id::<L>(id).ok_or(EventsError::Malformed)?;
        let known = self.0.headers(&BlockId(id));
        match known.filter(|block| block.height() == height) {
            Some(block) => Ok(Cursor { height, id: block.id() }),
            None => Err(EventsError::UnknownCursor(text.to_owned())),
        }
    }

    fn line(&self, event: &Event<L>, detail: EventDetail) -> EventLine {
        let (kind, block) = match event {
            Event::Disconnected(block) => ("disconnected", block),
            Event::Connected(block) => ("connected", block),
        };
        let cursor = format!("{}:{}", block.cursor.height, L::show_id(&block.cursor.id.0));
        let header = block.block.header();
        let ids: Vec<_> = block.block.transactions().iter().map(|tx| L::show_id(&tx.id().0)).collect();
        let mut json = json!({
            "event": kind,
            "cursor": cursor,
            "height": block.height.0,
            "id": L::show_id(&block.id.0),
            "parent": L::show_id(&header.parent().0),
            "time": header.time().0,
            "transactions": ids,
        });
        self.add_detail(&mut json, event, block, detail);
        EventLine { cursor, text: json.to_string() }
    }

    fn add_detail(&self, json: &mut Value, event: &Event<L>, block: &EventBlock<L>, detail: EventDetail) {
        if detail.block {
            json["block"] = block.block.to_bytes().to_lower_hex_string().into();
        }
        if detail.receipts {
            json["receipts"] = block.receipts.to_bytes().to_lower_hex_string().into();
        }
        if detail.delta {
            json["delta"] = match event {
                Event::Connected(_) => self.delta(&block.delta),
                Event::Disconnected(_) => self.delta(&block.delta.inverse()),
            };
        }
    }

    /// What the event does to the state: old is before it, new is after it.
    fn delta(&self, delta: &Delta) -> Value {
        let tables = self.0.ledger().tables();
        let hex = |bytes: Option<&[u8]>| bytes.map(hex_conservative::DisplayHex::to_lower_hex_string);
        let changes = delta.iter().map(|change| {
            let table = tables.get(usize::from(change.table.0)).map_or("", |table| table.name);
            json!({
                "table": table,
                "key": change.key.to_lower_hex_string(),
                "old": hex(change.old),
                "new": hex(change.new),
            })
        });
        changes.collect()
    }
}

/// An id as people write it, back to its bytes: hex in one of the two orders, whichever the ledger shows.
pub fn read_id<L: Ledger>(text: &str) -> Option<[u8; 32]> {
    let text = text.strip_prefix("0x").unwrap_or(text).to_ascii_lowercase();
    let mut bytes = hex_conservative::decode_to_array::<32>(&text).ok()?;
    let shows = |bytes: &[u8; 32]| L::show_id(bytes).trim_start_matches("0x").eq_ignore_ascii_case(&text);
    if shows(&bytes) {
        return Some(bytes);
    }
    bytes.reverse();
    shows(&bytes).then_some(bytes)
}

impl<L: Ledger> Probe for LedgerProbe<L> {
    fn figures(&self) -> ChainFigures {
        let head = self.0.head().headers;
        ChainFigures {
            head: HeadInfo {
                height: head.height(),
                id: L::show_id(&head.id().0),
                time: head.header().time(),
            },
            // Where blocks weigh nothing, no header is ever the heaviest.
            best_header: self.0.best_header().height().max(head.height()),
            finalized: self.0.finalized().map(|block| block.height()),
            fault: self.0.fault().map(|fault| fault.to_string()),
        }
    }

    fn pool_size(&self) -> (usize, usize) {
        let transactions = self.0.pool().all();
        (transactions.len(), transactions.iter().map(|tx| tx.to_bytes().len()).sum())
    }

    fn is_active(&self, id: &BlockId) -> bool {
        self.0.headers(id).is_some_and(|block| self.0.is_active(&block))
    }

    fn subscribe(&self) -> mpsc::Receiver<Notice> {
        self.0.subscribe()
    }

    fn events(
        &self,
        cursor: Option<&str>,
        page: Page,
        detail: EventDetail,
    ) -> Result<Vec<EventLine>, EventsError> {
        let mut cursor = cursor.map(|cursor| self.cursor(cursor)).transpose()?;
        let (mut lines, mut bytes) = (Vec::new(), 0);
        // One by one: blocks are large, and many of them at once would be held in memory.
        while lines.len() < page.lines && bytes < page.bytes {
            let Some(event) = self.0.events(cursor, 1)?.pop() else { break };
            let (Event::Connected(block) | Event::Disconnected(block)) = &event;
            cursor = Some(block.cursor);
            let line = self.line(&event, detail);
            bytes += line.text.len();
            lines.push(line);
        }
        Ok(lines)
    }
}

/// Bytes from hex, for handlers that take blocks and transactions.
pub fn read_hex(text: &str) -> Option<Bytes> {
    hex_conservative::decode_to_vec(text).ok().map(Bytes::from)
}
