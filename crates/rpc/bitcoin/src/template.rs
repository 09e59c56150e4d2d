//! `getblocktemplate` (BIP-0022, BIP-0023, BIP-0009 § getblocktemplate changes; Bitcoin Core `rpc/mining.cpp`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chainwright_chain::{Pool as _, Status, Transaction as _, TxId};
use chainwright_utxo::build::{self, Template, TemplateTransaction};
use chainwright_utxo::check::BLOCK_WEIGHT_MAX;
use chainwright_utxo::params::DeploymentState;
use chainwright_utxo::pool::TransactionPool;
use chainwright_utxo::rules::SIGOP_COST_MAX;
use hex_conservative::DisplayHex as _;
use serde_json::{Value, json};

use crate::encode::{Object, hex32, put, target};
use crate::generate::{Head, block_id};
use crate::rawtransaction::decode_block;
use crate::{BitcoinNode, Entry, parse_hash, reject_text, reject_word, show_block, show_txid};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError, code, not_of_type};

pub(crate) const METHODS: &[Entry] = &[Entry {
    category: "mining",
    name: "getblocktemplate",
    parameters: &[Parameter::required(
        "template_request",
        Kind::Object(
            "{\"mode\":\"str\",\"capabilities\":[\"str\",...],\"rules\":[\"segwit\",\"str\",...],\"longpollid\":\"str\",\"data\":\"hex\"}",
        ),
        "Format of the template",
    )],
    description: "If the request parameters include a 'mode' key, that is used to explicitly select between the default 'template' request or a 'proposal'.\n\
                  It returns data needed to construct a block to work on.\n\
                  For full specification, see BIPs 22, 23, 9, and 145.\n",
    run: block_template,
}];

/// Seconds by which the first block of a period may be older than its parent (BIP-0094).
const TIME_WARP_MAX_SECONDS: u64 = 600;
/// Bytes of a block on the wire.
const BLOCK_SIZE_MAX: usize = 4_000_000;
const FIRST_POOL_CHECK: Duration = Duration::from_mins(1);
const LATER_POOL_CHECK: Duration = Duration::from_secs(10);

fn block_template(node: &BitcoinNode, call: &Call) -> Answer {
    let request = call.param(0);
    match request.get("mode") {
        None | Some(Value::Null) => {}
        Some(Value::String(mode)) if mode == "template" => {}
        Some(Value::String(mode)) if mode == "proposal" => return node.judge_proposal(request),
        Some(_) => return Err(RpcError::parameter("Invalid mode")),
    }
    let mut rules = BTreeSet::new();
    for rule in request.get("rules").and_then(Value::as_array).into_iter().flatten() {
        rules.insert(rule.as_str().ok_or_else(|| not_of_type(rule, "string"))?);
    }
    node.check_connected()?;
    if let Some(long_poll) = request.get("longpollid").filter(|value| !value.is_null()) {
        node.wait_for_work(call, long_poll)?;
    }
    let is_signet = node.parameters().signet_challenge.is_some();
    if is_signet && !rules.contains("signet") {
        return Err(RpcError::parameter(
            "getblocktemplate must be called with the signet rule set (call with {\"rules\": [\"segwit\", \"signet\"]})",
        ));
    }
    if !rules.contains("segwit") {
        return Err(RpcError::parameter(
            "getblocktemplate must be called with the segwit rule set (call with {\"rules\": [\"segwit\"]})",
        ));
    }
    let (head, template, pool_mark) = node.template()?;
    node.template_json(&head, &template, &rules, pool_mark)
}

/// A number that changes when the pool does.
fn mark_of(pool: &TransactionPool) -> u32 {
    let ids = pool.all().into_iter().map(|tx| tx.relay_id());
    let first = |TxId(id): TxId| u32::from_le_bytes([id[0], id[1], id[2], id[3]]);
    ids.fold(pool.len() as u32, |mark, id| mark.wrapping_add(first(id)))
}

impl BitcoinNode {
    fn judge_proposal(&self, request: &Value) -> Answer {
        let data = request.get("data").and_then(Value::as_str);
        let data = data.ok_or_else(|| RpcError::wrong_type("Missing data String key for proposal"))?;
        let block = decode_block(data)?;
        if let Some(known) = self.published().block(&block_id(block.hash())) {
            return Ok(match known.status {
                status if Self::is_valid(&status) => "duplicate",
                Status::Invalid(_) => "duplicate-invalid",
                _ => "duplicate-inconclusive",
            }
            .into());
        }
        if block_id(block.header.previous) != self.tip().id() {
            return Ok("inconclusive-not-best-prevblk".into());
        }
        match self.chain.check(block).wait()? {
            Ok(()) => Ok(Value::Null),
            Err(reject) => reject_word(&reject).map(Value::from),
        }
    }

    /// A template on a live chain is of no use to a node that knows nobody or is still catching up.
    fn check_connected(&self) -> Result<(), RpcError> {
        let name = &self.client_name;
        if self.parameters().is_test {
            return Ok(());
        }
        if self.host.peers().is_empty() {
            return Err(RpcError::new(code::CLIENT_NOT_CONNECTED, format!("{name} is not connected!")));
        }
        if self.is_initial_download() {
            let message = format!("{name} is in initial sync and waiting for blocks...");
            return Err(RpcError::new(code::CLIENT_IN_INITIAL_DOWNLOAD, message));
        }
        Ok(())
    }

    /// BIP22's long poll: until the tip is another, or, looked at after a minute and then every ten seconds, the pool.
    fn wait_for_work(&self, call: &Call, long_poll: &Value) -> Result<(), RpcError> {
        let (watched, mark) = match long_poll.as_str() {
            Some(text) => {
                let hash = text.get(..64).unwrap_or(text);
                let mark = text.get(64..).and_then(|mark| mark.parse().ok()).unwrap_or(0);
                (parse_hash(hash, "longpollid")?, mark)
            }
            None => (self.tip().id().0, mark_of(&self.published().pool())),
        };
        let mut patience = FIRST_POOL_CHECK;
        loop {
            let tip = self.wait_for_tip(call, Some(patience), |tip| tip.id().0 != watched);
            if call.is_stopping() {
                return Err(RpcError::new(code::CLIENT_NOT_CONNECTED, "Shutting down"));
            }
            if tip.id().0 != watched || mark_of(&self.published().pool()) != mark {
                return Ok(());
            }
            patience = LATER_POOL_CHECK;
        }
    }

    /// A template of this moment, made where head and pool agree: on the driver's thread.
    fn template(&self) -> Result<(Head, Template, u32), RpcError> {
        let published = Arc::clone(self.chain.published());
        let consensus = Arc::clone(&self.consensus);
        let now = self.host.now();
        let made = self.chain.with_pool(move |pool| {
            let head = published.head();
            let attributes = consensus.attributes(&head.headers, now);
            let template = build::template(published.ledger(), &head, &attributes, pool)?;
            Ok((head, template, mark_of(pool)))
        });
        made.wait()?.map_err(|reject| RpcError::misc(reject_text(&reject)))
    }

    fn template_json(
        &self,
        head: &Head,
        template: &Template,
        client_rules: &BTreeSet<&str>,
        pool_mark: u32,
    ) -> Answer {
        let parent = &head.headers;
        let header = &template.block.header;
        let signalling = self.signalling(head, header.version, client_rules)?;
        let transactions: Vec<Value> = template.transactions.iter().map(transaction_json).collect();
        let mut object = Object::new();
        put(
            &mut object,
            [
                ("capabilities", json!(["proposal"])),
                ("version", signalling.version.into()),
                ("rules", signalling.rules.into()),
                ("vbavailable", signalling.available.into()),
                ("vbrequired", 0.into()),
                ("previousblockhash", show_block(parent).into()),
                ("transactions", transactions.into()),
                ("coinbaseaux", json!({})),
                ("coinbasevalue", template.coinbase_value.0.into()),
                ("longpollid", format!("{}{pool_mark}", show_block(parent)).into()),
                ("target", target(header.bits).into()),
                ("mintime", self.minimum_time(head).into()),
                ("mutable", json!(["time", "transactions", "prevblock"])),
                ("noncerange", "00000000ffffffff".into()),
                ("sigoplimit", SIGOP_COST_MAX.into()),
                ("sizelimit", BLOCK_SIZE_MAX.into()),
                ("weightlimit", BLOCK_WEIGHT_MAX.into()),
                ("curtime", header.time.into()),
                ("bits", hex32(header.bits).into()),
                ("height", template.height.into()),
            ],
        );
        if let Some(challenge) = &self.parameters().signet_challenge {
            put(&mut object, [("signet_challenge", challenge.to_lower_hex_string().into())]);
        }
        if let Some(script) = &template.witness_commitment {
            let script = script.as_bytes().to_lower_hex_string();
            put(&mut object, [("default_witness_commitment", script.into())]);
        }
        Ok(object.into())
    }

    /// The earliest time of the next block (Bitcoin Core `GetMinimumTime`).
    fn minimum_time(&self, head: &Head) -> u64 {
        let parent = &head.headers;
        let after_median = parent.median_time().0 + 1;
        let starts_period = (parent.height().0 + 1).is_multiple_of(self.retarget_interval.max(1));
        let warp_limit = u64::from(parent.header().time).saturating_sub(TIME_WARP_MAX_SECONDS);
        if starts_period { after_median.max(warp_limit) } else { after_median }
    }

    /// What is voted on, with the version bits a client may set.
    fn signalling(
        &self,
        head: &Head,
        version: i32,
        client_rules: &BTreeSet<&str>,
    ) -> Result<TemplateRules, RpcError> {
        let parameters = self.parameters();
        let mut rules = vec!["csv".to_owned()];
        if head.headers.height().0 + 1 >= parameters.buried.segwit {
            rules.extend(["!segwit".to_owned(), "taproot".to_owned()]);
        }
        if parameters.signet_challenge.is_some() {
            rules.push("!signet".to_owned());
        }
        let mut version = version;
        let mut available = Object::new();
        for deployment in &parameters.deployments {
            let name = &deployment.name;
            let is_understood = deployment.is_optional || client_rules.contains(name.as_str());
            let shown = format!("{}{name}", if deployment.is_optional { "" } else { "!" });
            match self.ledger().deployments.state(deployment, &head.headers) {
                DeploymentState::Started | DeploymentState::LockedIn => {
                    put(&mut available, [(&shown, deployment.bit.into())]);
                    if !is_understood {
                        version &= !deployment.mask();
                    }
                }
                DeploymentState::Active if !is_understood => {
                    let message = format!("Support for '{name}' rule requires explicit client support");
                    return Err(RpcError::parameter(message));
                }
                DeploymentState::Active if !rules.contains(&shown) => rules.push(shown),
                _ => {}
            }
        }
        Ok(TemplateRules { version, rules, available })
    }
}

struct TemplateRules {
    version: i32,
    rules: Vec<String>,
    available: Object,
}

fn transaction_json(offered: &TemplateTransaction) -> Value {
    let tx = &offered.transaction;
    json!({
        "data": tx.encode().to_lower_hex_string(),
        "txid": show_txid(tx.txid()),
        "hash": tx.wtxid().to_string(),
        "depends": offered.depends,
        "fee": offered.fee.0,
        "sigops": offered.sigop_cost,
        "weight": tx.weight(),
    })
}
