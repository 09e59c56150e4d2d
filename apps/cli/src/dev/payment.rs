//! The first payment: funds if there are none, a transfer, and waiting until every node has it in a block.

use std::time::{Duration, Instant};

use chainwright_chain::Height;
use serde_json::{Value, json};

use super::status::height;
use super::{Member, Network};
use crate::error::{CliError, CliResult};
use crate::rpc_client::Rpc;
use crate::spec::Engine;
use crate::{print, wallet};

/// How long nodes may take to agree.
pub(super) const AGREE_LIMIT: Duration = Duration::from_mins(2);
/// What is paid, in satoshi: one coin.
const PAID: u64 = 100_000_000;
/// The fee rate, in satoshi per virtual byte.
const FEE_RATE: u64 = 2;
/// Blocks slower than this are not waited for: one is made at once.
const PATIENCE: Duration = Duration::from_secs(3);

impl Network {
    /// Pays somebody and shows it confirmed on every node.
    pub(super) fn show_payment(&mut self) -> CliResult<()> {
        let Some(first) = self.members.first() else { return Ok(()) };
        let mut rpc = first.connect();
        self.fund(&mut rpc)?;
        self.wait_for_agreement(&mut rpc)?;
        let receiver = self.receiver()?.address(0);
        let Some(wallet) = &mut self.wallet else { return Ok(()) };
        wallet.sync(&mut rpc)?;
        let sent = wallet.pay(&mut rpc, &receiver, PAID, FEE_RATE)?;
        wallet.save_state();
        let balance = wallet.balance();
        self.say(
            &format!("  paid 1.0 to {receiver}: {}   {} left to spend", sent.txid, wallet::coins(balance)),
            json!({ "event": "paid", "txid": sent.txid, "to": receiver }),
        );
        if self.block_time > PATIENCE && self.file.consensus == Engine::Pow {
            self.generate(&mut rpc, 1)?;
        }
        for index in 0..self.members.len() {
            let height = self.wait_for_confirmation(index, &sent.txid)?;
            self.say(
                &format!("  confirmed on node {} at height {height}", index + 1),
                json!({ "event": "confirmed", "node": index + 1, "height": height.0, "txid": sent.txid }),
            );
        }
        Ok(())
    }

    pub(super) fn say(&self, text: &str, event: Value) {
        print(if self.is_json { event.to_string() } else { text.to_owned() });
    }

    /// Mines until the first reward can be spent.
    fn fund(&mut self, rpc: &mut Rpc) -> CliResult<()> {
        let maturity = self.file.utxo.as_ref().map_or(100, |utxo| utxo.coinbase_maturity);
        let missing = (maturity + 1).saturating_sub(height(rpc)? as u32);
        if missing == 0 {
            return Ok(());
        }
        if self.file.consensus == Engine::Pow {
            return self.generate(rpc, missing);
        }
        // Nobody but the sealer makes blocks, at its own pace.
        let until = Instant::now() + AGREE_LIMIT + self.block_time * missing;
        self.wait("the first reward", until, |network| {
            let height = height(&mut network.members[0].connect())?;
            Ok((height > u64::from(maturity)).then_some(()))
        })
    }

    fn generate(&self, rpc: &mut Rpc, count: u32) -> CliResult<()> {
        let address = self.wallet.as_ref().map(|wallet| wallet.address(0)).unwrap_or_default();
        rpc.ask("generatetoaddress", json!([count, address])).map(drop)
    }

    fn wait_for_agreement(&self, rpc: &mut Rpc) -> CliResult<()> {
        let wanted = height(rpc)?;
        self.wait("all nodes to have the chain", Instant::now() + AGREE_LIMIT, |network| {
            for member in &network.members {
                if height(&mut member.connect())? < wanted {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
    }

    fn wait_for_confirmation(&self, index: usize, txid: &str) -> CliResult<Height> {
        let until = Instant::now() + AGREE_LIMIT + self.block_time * 2;
        self.wait(&format!("the payment on node {}", index + 1), until, |network| {
            confirmed_at(&network.members[index], txid)
        })
    }

    pub(super) fn wait<T>(
        &self,
        what: &str,
        until: Instant,
        mut ready: impl FnMut(&Self) -> CliResult<Option<T>>,
    ) -> CliResult<T> {
        loop {
            if let Some(value) = ready(self)? {
                return Ok(value);
            }
            if self.is_stopping() {
                return Err(CliError::failed(format!("stopped while waiting for {what}")));
            }
            if Instant::now() > until {
                return Err(CliError::failed(format!("waited too long for {what}"))
                    .hint(format!("see node-*/debug.log in {}", self.data.display())));
            }
            self.pause(Duration::from_millis(100));
        }
    }
}

/// The height of the block a payment is in; one of its two outputs is unspent for sure.
fn confirmed_at(member: &Member, txid: &str) -> CliResult<Option<Height>> {
    let mut rpc = member.connect();
    let tip = height(&mut rpc)?;
    for output in 0..2 {
        let coin = rpc.ask("gettxout", json!([txid, output, false]))?;
        if let Some(confirmations) = coin["confirmations"].as_u64().filter(|count| *count > 0) {
            return Ok(Some(Height((tip + 1).saturating_sub(confirmations) as u32)));
        }
    }
    Ok(None)
}
