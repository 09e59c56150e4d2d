//! A small dialect for any ledger: heads, blocks and transactions as hex. Good enough to develop against.

use std::sync::Arc;

use chainwright_chain::{
    Admission, BlockId, ChainHandle, Codec as _, Header as _, Headers, Height, Imported, Ledger, Pool as _,
    Reject, Status, Transaction as _,
};
use hex_conservative::DisplayHex as _;
use serde_json::{Value, json};

use crate::dialect::Dialect;
use crate::error::{Answer, RpcError, code};
use crate::method::{Call, Handler, Kind, Method, Parameter, integer};
use crate::probe::{read_hex, read_id};

/// The dialect of chains that have no words of their own.
pub struct GenericDialect<L: Ledger> {
    chain: ChainHandle<L>,
}

impl<L: Ledger> GenericDialect<L> {
    /// The dialect of a chain.
    pub fn new(chain: ChainHandle<L>) -> Arc<Self> {
        Arc::new(Self { chain })
    }
}

const BLOCK: &[Parameter] =
    &[Parameter::optional("block", Kind::Any, "the head", "The block's height on the chain, or its id")];
const BLOCK_HEX: &[Parameter] =
    &[Parameter::required("hex", Kind::Hex, "The block in the ledger's encoding")];
const TX_HEX: &[Parameter] =
    &[Parameter::required("hex", Kind::Hex, "The transaction in the ledger's encoding")];
const TX_ID: &[Parameter] = &[Parameter::required("id", Kind::Hex, "The transaction's id")];

impl<L: Ledger> Dialect for GenericDialect<L> {
    fn name(&self) -> &'static str {
        "generic"
    }

    fn methods(self: Arc<Self>) -> Vec<Method> {
        let bind = |name, parameters, description, run: fn(&Self, &Call) -> Answer| {
            let dialect = Arc::clone(&self);
            let handler: Handler = Arc::new(move |call| run(&dialect, call));
            Method { name, category: "chain", parameters, description, handler }
        };
        vec![
            bind(
                "chain_head",
                &[],
                "Height, id and time of the head, and of what is safe and final.",
                |dialect, _| Ok(dialect.head()),
            ),
            bind("chain_block", BLOCK, "A block: its header's facts and its bytes.", Self::block),
            bind("chain_submit", TX_HEX, "Hands in a transaction; its id.", Self::submit),
            bind(
                "chain_submitBlock",
                BLOCK_HEX,
                "Hands in a block: valid, stored or known.",
                Self::submit_block,
            ),
            bind("chain_pool", &[], "Ids of the transactions that wait, parents first.", |dialect, _| {
                Ok(dialect.pool())
            }),
            bind("chain_transaction", TX_ID, "A waiting transaction's bytes.", Self::transaction),
        ]
    }
}

/// What a reject says, as a call's error.
fn rejected(reject: &Reject) -> RpcError {
    let code = match reject {
        Reject::Invalid(_) | Reject::Mutated(_) => code::VERIFY_REJECTED,
        Reject::NotYet(_) | Reject::MissingParent(_) => code::VERIFY_ERROR,
        Reject::Fault(_) => code::INTERNAL_ERROR,
    };
    RpcError::new(code, reject.to_string())
}

fn status_word(status: &Status) -> &'static str {
    match status {
        Status::Header => "header",
        Status::Stored => "stored",
        Status::Executed => "executed",
        Status::Valid => "valid",
        Status::Invalid(_) => "invalid",
    }
}

impl<L: Ledger> GenericDialect<L> {
    fn header_json(block: &Headers<L>) -> Value {
        let header = block.header();
        json!({
            "height": block.height().0,
            "id": L::show_id(&block.id().0),
            "parent": L::show_id(&header.parent().0),
            "time": header.time().0,
            "weight": format!("{:#x}", block.weight().0),
        })
    }

    fn head(&self) -> Value {
        let published = self.chain.published();
        json!({
            "ledger": L::NAME,
            "head": Self::header_json(&published.head().headers),
            "best_header": Self::header_json(&published.best_header()),
            "safe": published.safe().as_ref().map(Self::header_json),
            "finalized": published.finalized().as_ref().map(Self::header_json),
        })
    }

    fn find(&self, wanted: &Value) -> Result<Headers<L>, RpcError> {
        let published = self.chain.published();
        let head = published.head().headers;
        let found = match wanted {
            Value::Null => Some(head),
            Value::Number(_) => head.ancestor(Height(integer(wanted)?)),
            Value::String(text) => read_id::<L>(text).and_then(|id| published.headers(&BlockId(id))),
            _ => return Err(RpcError::wrong_type("a block is named by its height or its id")),
        };
        found.ok_or_else(|| RpcError::unknown("Block not found"))
    }

    fn block(&self, call: &Call) -> Answer {
        let block = self.find(call.param(0))?;
        let published = self.chain.published();
        let mut json = Self::header_json(&block);
        json["active"] = published.is_active(&block).into();
        let status = published.block(&block.id()).map(|info| status_word(&info.status));
        json["status"] = status.into();
        json["header"] = block.header().to_bytes().to_lower_hex_string().into();
        json["block"] = published.bodies().body(&block.id())?.map(|bytes| bytes.to_lower_hex_string()).into();
        Ok(json)
    }

    fn submit(&self, call: &Call) -> Answer {
        let tx = decode::<L::Tx>(call)?;
        let id = L::show_id(&tx.id().0);
        match self.chain.submit(Arc::new(tx)).wait()? {
            Ok(Admission { removed }) => {
                let removed: Vec<_> = removed.iter().map(|id| L::show_id(&id.0)).collect();
                Ok(json!({ "id": id, "removed": removed }))
            }
            Err(refusal) => Err(RpcError::new(code::VERIFY_REJECTED, refusal.to_string())),
        }
    }

    fn submit_block(&self, call: &Call) -> Answer {
        let block = decode::<L::Block>(call)?;
        match self.chain.import(block).wait()? {
            Ok(Imported::Valid) => Ok("valid".into()),
            Ok(Imported::Stored) => Ok("stored".into()),
            Ok(Imported::Known) => Ok("known".into()),
            Err(reject) => Err(rejected(&reject)),
        }
    }

    fn pool(&self) -> Value {
        let waiting = self.chain.published().pool().all();
        waiting.iter().map(|tx| Value::from(L::show_id(&tx.id().0))).collect()
    }

    fn transaction(&self, call: &Call) -> Answer {
        let id = call.text(0).and_then(read_id::<L>).map(chainwright_chain::TxId);
        let found = id.and_then(|id| self.chain.published().pool().get(&id));
        let tx = found.ok_or_else(|| RpcError::unknown("no such transaction waits"))?;
        Ok(tx.to_bytes().to_lower_hex_string().into())
    }
}

fn decode<T: chainwright_chain::Codec>(call: &Call) -> Result<T, RpcError> {
    let bytes = read_hex(call.text(0).unwrap_or_default());
    let bytes = bytes.ok_or_else(|| RpcError::undecodable("not hexadecimal"))?;
    T::decode(&bytes).map_err(|error| RpcError::undecodable(error.to_string()))
}
