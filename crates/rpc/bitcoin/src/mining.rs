//! For miners: `getmininginfo`, `getnetworkhashps`, `submitblock`, `submitheader` (Bitcoin Core `rpc/mining.cpp`).

use chainwright_chain::{Headers, Height, Imported, Status};
use chainwright_utxo::Utxo;
use chainwright_utxo::block::{Block, BlockHeader, HEADER_SIZE};
use chainwright_utxo::hash::BlockHash;
use chainwright_utxo::tx::{Transaction, Witness};
use hex_conservative::DisplayHex as _;
use serde_json::{Value, json};

use crate::encode::{Object, difficulty, hex32, put, target};
use crate::generate::block_id;
use crate::number::{amount, double};
use crate::rawtransaction::decode_block;
use crate::{BitcoinNode, Entry, at_height, reject_word};
use chainwright_chain::Pool as _;
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError, code, read_hex};

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        category: "mining",
        name: "getmininginfo",
        parameters: &[],
        description: "Returns a json object containing mining-related information.",
        run: |node, _| node.mining_info(),
    },
    Entry {
        category: "mining",
        name: "getnetworkhashps",
        parameters: &[
            Parameter::optional(
                "nblocks",
                Kind::Number,
                "120",
                "The number of previous blocks to calculate estimate from, or -1 for blocks since last difficulty change.",
            ),
            Parameter::optional("height", Kind::Number, "-1", "To estimate at the time of the given height."),
        ],
        description: "Returns the estimated network hashes per second based on the last n blocks.\n\
                      Pass in [blocks] to override # of blocks, -1 specifies since last difficulty change.\n\
                      Pass in [height] to estimate the network speed at the time when a certain block was found.\n",
        run: |node, call| node.hash_rate(call.integer(0)?.unwrap_or(120), call.integer(1)?.unwrap_or(-1)),
    },
    Entry {
        category: "mining",
        name: "submitblock",
        parameters: &[
            Parameter::required("hexdata", Kind::Hex, "the hex-encoded block data to submit"),
            Parameter::optional(
                "dummy",
                Kind::String,
                "ignored",
                "dummy value, for compatibility with BIP22. This value is ignored.",
            ),
        ],
        description: "Attempts to submit new block to network.\n\
                      See https://en.bitcoin.it/wiki/BIP_0022 for full specification.\n",
        run: submit_block,
    },
    Entry {
        category: "mining",
        name: "submitheader",
        parameters: &[Parameter::required("hexdata", Kind::Hex, "the hex-encoded block header data")],
        description: "Decode the given hexdata as a header and submit it as a candidate chain tip if valid.\n\
                      Throws when the header is invalid.\n",
        run: submit_header,
    },
];

impl BitcoinNode {
    fn mining_info(&self) -> Answer {
        let tip = self.tip();
        let bits = tip.header().bits;
        let pooled = self.published().pool().len();
        let next_bits =
            self.consensus.attributes(&tip, self.host.now()).target.map_or(bits, |target| target.0);
        let mut object = Object::new();
        put(
            &mut object,
            [
                ("blocks", tip.height().0.into()),
                ("bits", hex32(bits).into()),
                ("difficulty", double(difficulty(bits))),
                ("target", target(bits).into()),
                ("networkhashps", self.hash_rate(120, -1)?),
                ("pooledtx", pooled.into()),
                ("blockmintxfee", amount(self.ledger().policy.block_fee_rate_min.0)),
                ("chain", self.parameters().rpc_name.as_str().into()),
            ],
        );
        let next = json!({
            "height": tip.height().0 + 1,
            "bits": hex32(next_bits),
            "difficulty": double(difficulty(next_bits)),
            "target": target(next_bits),
        });
        put(&mut object, [("next", next)]);
        if let Some(challenge) = &self.parameters().signet_challenge {
            put(&mut object, [("signet_challenge", challenge.to_lower_hex_string().into())]);
        }
        put(&mut object, [("warnings", self.host.warnings().into())]);
        Ok(object.into())
    }

    /// Bitcoin Core's `GetNetworkHashPS`.
    fn hash_rate(&self, lookup: i32, height: i32) -> Answer {
        let tip = self.tip();
        if lookup < -1 || lookup == 0 {
            return Err(RpcError::parameter("Invalid nblocks. Must be a positive number or -1."));
        }
        let at = if height == -1 { Some(tip) } else { at_height(&tip, height.into()) };
        let at = at.ok_or_else(|| RpcError::parameter("Block does not exist at specified height"))?;
        let height = at.height().0;
        if height == 0 {
            return Ok(0.into());
        }
        let since_retarget = height % self.retarget_interval.max(1) + 1;
        let lookup = u32::try_from(lookup).unwrap_or(since_retarget).min(height);
        Ok(hash_rate_between(&at, lookup))
    }
}

fn hash_rate_between(end: &Headers<Utxo>, lookup: u32) -> Value {
    let times = || end.down().take(lookup as usize + 1).map(|block| i64::from(block.header().time));
    let span = times().max().unwrap_or(0) - times().min().unwrap_or(0);
    let start = end.ancestor(Height(end.height().0 - lookup));
    match start {
        Some(start) if span > 0 => {
            let work = end.weight().0.saturating_sub(start.weight().0);
            double(f64::from(work) / span as f64)
        }
        _ => 0.into(),
    }
}

/// Gives the coinbase the witness its commitment needs, if the miner left it out
/// (Bitcoin Core `UpdateUncommittedBlockStructures`).
pub(crate) fn complete_witness(block: &mut Block) {
    if block.witness_commitment_index().is_none() {
        return;
    }
    if let Some(coinbase) = block.transactions.first_mut()
        && !coinbase.has_witness()
    {
        let mut parts = coinbase.parts().clone();
        if let Some(input) = parts.inputs.first_mut() {
            input.witness = Witness::from_items([[0; 32]]);
        }
        *coinbase = Transaction::new(parts);
    }
}

fn submit_block(node: &BitcoinNode, call: &Call) -> Answer {
    let mut block = decode_block(call.text(0).unwrap_or_default())?;
    let parent = node.published().headers(&block_id(block.header.previous));
    let segwit = node.parameters().buried.segwit;
    if parent.is_some_and(|parent| parent.height().0 + 1 >= segwit) {
        complete_witness(&mut block);
    }
    let known = node.published().block(&block_id(block.hash()));
    if known.is_some_and(|known| matches!(known.status, Status::Invalid(_))) {
        return Ok("duplicate-invalid".into());
    }
    match node.chain.import(block).wait()? {
        Ok(Imported::Valid) => Ok(Value::Null),
        Ok(Imported::Known) => Ok("duplicate".into()),
        Ok(Imported::Stored) => Ok("inconclusive".into()),
        Err(reject) => reject_word(&reject).map(Value::from),
    }
}

fn submit_header(node: &BitcoinNode, call: &Call) -> Answer {
    let bytes = read_hex(call.text(0).unwrap_or_default());
    let bytes = bytes.and_then(|bytes| <[u8; HEADER_SIZE]>::try_from(bytes.as_ref()).ok());
    let bytes = bytes.ok_or_else(|| RpcError::undecodable("Block header decode failed"))?;
    let header = BlockHeader::decode(&bytes);
    if node.published().headers(&block_id(header.previous)).is_none() {
        let previous = BlockHash(header.previous.0);
        let message = format!("Must submit previous header ({previous}) first");
        return Err(RpcError::new(code::VERIFY_ERROR, message));
    }
    match node.chain.import_headers(vec![header]).wait()? {
        Ok(_) => Ok(Value::Null),
        Err(reject) => Err(RpcError::new(code::VERIFY_ERROR, reject_word(&reject)?)),
    }
}
