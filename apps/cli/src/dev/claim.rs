//! What stands for a payment on a chain of names: a name nobody has is claimed, and every node has it in a block.

use std::time::Instant;

use chainwright_chain::Codec as _;
use chainwright_names::{Claim, sha256};
use serde_json::json;

use super::payment::AGREE_LIMIT;
use super::status::height;
use super::{Member, Network};
use crate::error::{CliResult, Context as _};
use crate::spec::encode_hex;

/// Bytes of a name that a person reads; the rest of its 32 bytes is a random number.
const LABEL: &[u8; 16] = b"chainwright-dev-";

impl Network {
    /// Claims a fresh name and shows it confirmed on every node.
    pub(super) fn show_claim(&self) -> CliResult<()> {
        let Some(first) = self.members.first() else { return Ok(()) };
        let mut random = [0; 16];
        getrandom::fill(&mut random).context(|| "the system gives no randomness".to_owned())?;
        let name = [*LABEL, random];
        let name = name.as_flattened().first_chunk().copied().unwrap_or_default();
        // The lock's secret is forgotten: nobody will ever change this name.
        let claim =
            Claim { name, value: sha256(b"hello"), after: [0; 32], secret: [0; 32], lock: sha256(&name) };
        let hex = encode_hex(&claim.to_bytes());
        let mut rpc = first.connect();
        let from = height(&mut rpc)?;
        let id = rpc.ask("chain_submit", json!([hex]))?["id"].clone();
        let written = format!("{}{}", String::from_utf8_lossy(LABEL), encode_hex(&random));
        self.say(
            &format!("  claimed the name {written}"),
            json!({ "event": "paid", "txid": id, "to": written }),
        );
        for (index, member) in self.members.iter().enumerate() {
            let until = Instant::now() + AGREE_LIMIT + self.block_time * 2;
            let what = format!("the claim on node {}", index + 1);
            let height = self.wait(&what, until, |_| confirmed_at(member, from, &hex))?;
            self.say(
                &format!("  confirmed on node {} at height {height}", index + 1),
                json!({ "event": "confirmed", "node": index + 1, "height": height, "txid": id }),
            );
        }
        Ok(())
    }
}

/// The height of the first block after `from` that holds these bytes.
fn confirmed_at(member: &Member, from: u64, hex: &str) -> CliResult<Option<u64>> {
    let mut rpc = member.connect();
    for at in from + 1..=height(&mut rpc)? {
        let block = rpc.ask("chain_block", json!([at]))?;
        if block["block"].as_str().is_some_and(|block| block.contains(hex)) {
            return Ok(Some(at));
        }
    }
    Ok(None)
}
