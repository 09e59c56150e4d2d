//! The line that says how the network is doing: rewritten on a terminal, a new one per change elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::Member;
use crate::error::CliResult;
use crate::print;
use crate::rpc_client::Rpc;

/// Without a terminal at most one line in this time.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Status {
    bar: Option<ProgressBar>,
    connections: Vec<Rpc>,
    last: String,
    line_at: Instant,
    is_json: bool,
}

impl Status {
    pub(super) fn new(is_json: bool) -> Self {
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
        let bar = (is_terminal && !is_json).then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}");
            let bar = ProgressBar::with_draw_target(None, indicatif::ProgressDrawTarget::stdout());
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        });
        Self { bar, connections: Vec::new(), last: String::new(), line_at: Instant::now(), is_json }
    }

    /// Asks every node and shows what they say.
    pub(super) fn update(&mut self, members: &[Member]) {
        if self.connections.len() != members.len() {
            self.connections = members.iter().map(Member::connect).collect();
        }
        let mut heights = Vec::new();
        let (mut peers, mut pool) = (0, 0);
        for rpc in &mut self.connections {
            // A node that is stopping does not answer.
            let Ok(height) = height(rpc) else { return };
            heights.push(height);
            peers +=
                rpc.ask("getconnectioncount", json!([])).ok().and_then(|count| count.as_u64()).unwrap_or(0);
            pool =
                pool.max(rpc.ask("chain_pool", json!([])).unwrap_or_default().as_array().map_or(0, Vec::len));
        }
        let top = heights.iter().copied().max().unwrap_or_default();
        let agreed = heights.iter().filter(|height| **height == top).count();
        let connections = if peers > 0 { format!(", {} connections", peers / 2) } else { String::new() };
        let text =
            format!("height {top} on {agreed} of {} nodes{connections}, {pool} waiting", heights.len());
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            bar.tick();
        } else if text != self.last && Instant::now() >= self.line_at {
            self.line_at = Instant::now() + LINE_INTERVAL;
            if self.is_json {
                print(
                    json!({ "event": "status", "heights": heights, "connections": peers / 2, "pool": pool })
                        .to_string(),
                );
            } else {
                print(&text);
            }
            self.last = text;
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Height of a node's chain, whatever its ledger.
pub(super) fn height(rpc: &mut Rpc) -> CliResult<u64> {
    Ok(rpc.ask("chain_head", json!([]))?["head"]["height"].as_u64().unwrap_or_default())
}
