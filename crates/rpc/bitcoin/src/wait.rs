//! `waitfornewblock`, `waitforblock`, `waitforblockheight`: answers that come when the tip moves.

use std::time::Duration;

use chainwright_chain::Headers;
use chainwright_utxo::Utxo;
use serde_json::{Value, json};

use crate::{BitcoinNode, Entry, hash_param, show_block};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};

const TIMEOUT: Parameter = Parameter::optional(
    "timeout",
    Kind::Number,
    "0",
    "Time in milliseconds to wait for a response. 0 indicates no timeout.",
);

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        category: "blockchain",
        name: "waitfornewblock",
        parameters: &[
            TIMEOUT,
            Parameter::optional(
                "current_tip",
                Kind::Hex,
                "",
                "Method waits for the chain tip to differ from this.",
            ),
        ],
        description: "Waits for any new block and returns useful info about it.\n\nReturns the current block on timeout or exit.\n",
        run: wait_for_new_block,
    },
    Entry {
        category: "blockchain",
        name: "waitforblock",
        parameters: &[Parameter::required("blockhash", Kind::Hex, "Block hash to wait for."), TIMEOUT],
        description: "Waits for a specific new block and returns useful info about it.\n\nReturns the current block on timeout or exit.\n",
        run: wait_for_block,
    },
    Entry {
        category: "blockchain",
        name: "waitforblockheight",
        parameters: &[Parameter::required("height", Kind::Number, "Block height to wait for."), TIMEOUT],
        description: "Waits for (at least) block height and returns the height and hash\nof the current tip.\n\nReturns the current block on timeout or exit.\n",
        run: wait_for_height,
    },
];

fn timeout_param(call: &Call, at: usize) -> Result<Option<Duration>, RpcError> {
    match call.integer::<i64>(at)?.unwrap_or(0) {
        0 => Ok(None),
        negative if negative < 0 => Err(RpcError::misc("Negative timeout")),
        timeout_ms => Ok(Some(Duration::from_millis(timeout_ms.unsigned_abs()))),
    }
}

impl BitcoinNode {
    /// Waits until the tip pleases, the time is over, or the server stops. What the tip is then.
    pub(crate) fn wait_for_tip(
        &self,
        call: &Call,
        timeout: Option<Duration>,
        pleases: impl Fn(&Headers<Utxo>) -> bool,
    ) -> Headers<Utxo> {
        let mut notices = self.published().subscribe();
        let start_us = self.host.monotonic_us();
        loop {
            let tip = self.tip();
            let waited = Duration::from_micros(self.host.monotonic_us().saturating_sub(start_us));
            let left = timeout.map_or(Duration::MAX, |timeout| timeout.saturating_sub(waited));
            if pleases(&tip) || left.is_zero() || call.is_stopping() {
                return tip;
            }
            call.wait(&mut notices, left);
        }
    }
}

fn tip_json(tip: &Headers<Utxo>) -> Value {
    json!({ "hash": show_block(tip), "height": tip.height().0 })
}

fn wait_for_new_block(node: &BitcoinNode, call: &Call) -> Answer {
    let timeout = timeout_param(call, 0)?;
    let current = match call.text(1) {
        Some(_) => hash_param(call, 1, "current_tip")?,
        None => node.tip().id().0,
    };
    Ok(tip_json(&node.wait_for_tip(call, timeout, |tip| tip.id().0 != current)))
}

fn wait_for_block(node: &BitcoinNode, call: &Call) -> Answer {
    let wanted = hash_param(call, 0, "blockhash")?;
    let timeout = timeout_param(call, 1)?;
    Ok(tip_json(&node.wait_for_tip(call, timeout, |tip| tip.id().0 == wanted)))
}

fn wait_for_height(node: &BitcoinNode, call: &Call) -> Answer {
    let wanted: i32 = call.integer(0)?.unwrap_or(0);
    let timeout = timeout_param(call, 1)?;
    let reached = |tip: &Headers<Utxo>| i64::from(tip.height().0) >= i64::from(wanted);
    Ok(tip_json(&node.wait_for_tip(call, timeout, reached)))
}
