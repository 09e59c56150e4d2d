//! Methods every server has, whatever its chain: `help`, `stop`, `uptime`, `getrpcinfo`, `echo`, `logging`, `setmocktime`.
//! Shapes and words are Bitcoin Core's (`rpc/server.cpp`, `rpc/node.cpp`).

use std::sync::Arc;
use std::time::Duration;

use chainwright_chain::Timestamp;
use serde_json::{Map, Value, json};

use crate::dialect::{Table, help};
use crate::error::{Answer, RpcError};
use crate::host::Host;
use crate::method::{Call, Handler, Kind, Method, Parameter};
use crate::metrics::CallMetrics;

const COMMAND: &[Parameter] =
    &[Parameter::optional("command", Kind::String, "all commands", "The command to get help on")];
const WAIT: &[Parameter] = &[Parameter::optional("wait", Kind::Number, "", "how long to wait in ms")];
const TIMESTAMP: &[Parameter] = &[Parameter::required(
    "timestamp",
    Kind::Number,
    "UNIX epoch time. Pass 0 to go back to using the system time.",
)];
const CATEGORIES: &[Parameter] = &[
    Parameter::optional(
        "include",
        Kind::Array("[\"include_category\",...]"),
        "",
        "The categories to add to debug logging",
    ),
    Parameter::optional(
        "exclude",
        Kind::Array("[\"exclude_category\",...]"),
        "",
        "The categories to remove from debug logging",
    ),
];
const ECHOED: &[Parameter] = &[
    Parameter::optional("arg0", Kind::Any, "", ""),
    Parameter::optional("arg1", Kind::Any, "", ""),
    Parameter::optional("arg2", Kind::Any, "", ""),
    Parameter::optional("arg3", Kind::Any, "", ""),
    Parameter::optional("arg4", Kind::Any, "", ""),
    Parameter::optional("arg5", Kind::Any, "", ""),
    Parameter::optional("arg6", Kind::Any, "", ""),
    Parameter::optional("arg7", Kind::Any, "", ""),
    Parameter::optional("arg8", Kind::Any, "", ""),
    Parameter::optional("arg9", Kind::Any, "", ""),
];

/// The latest time a mock clock takes, so that no sum of it overflows (Bitcoin Core `setmocktime`).
const MOCK_TIME_MAX: i64 = i64::MAX / 1_000_000_000;
/// Longest wait of `stop`.
const STOP_WAIT_MAX: Duration = Duration::from_mins(1);

/// Adds the methods; `help` speaks of everything in the table. Their names.
pub(super) fn add_to(
    table: &mut Table,
    calls: &CallMetrics,
    host: &Arc<dyn Host>,
    client_name: &str,
) -> Vec<&'static str> {
    let mut names = vec!["help"];
    for method in [
        stop(host, client_name),
        uptime(host),
        rpc_info(host, calls),
        echo("echo"),
        echo("echojson"),
        logging(host),
        set_mock_time(host),
    ] {
        names.push(method.name);
        table.insert(method.name, method);
    }
    let mut method = Method {
        name: "help",
        category: "control",
        parameters: COMMAND,
        description: "List all commands, or get help for a specified command.\n",
        handler: Arc::new(|_| Ok(Value::Null)),
    };
    let mut listed = table.clone();
    listed.insert(method.name, method.clone());
    method.handler = Arc::new(move |call| Ok(help(&listed, call.text(0).unwrap_or_default()).into()));
    table.insert(method.name, method);
    names
}

fn method(
    (category, name): (&'static str, &'static str),
    parameters: &'static [Parameter],
    description: &'static str,
    handler: impl Fn(&Call) -> Answer + Send + Sync + 'static,
) -> Method {
    let handler: Handler = Arc::new(handler);
    Method { name, category, parameters, description, handler }
}

fn stop(host: &Arc<dyn Host>, client_name: &str) -> Method {
    let (host, name) = (Arc::clone(host), client_name.to_owned());
    method(("control", "stop"), WAIT, "Request a graceful shutdown of the node.", move |call| {
        host.request_stop();
        if let Some(wait_ms) = call.integer::<u64>(0)? {
            std::thread::sleep(Duration::from_millis(wait_ms).min(STOP_WAIT_MAX));
        }
        Ok(format!("{name} stopping").into())
    })
}

fn uptime(host: &Arc<dyn Host>) -> Method {
    let host = Arc::clone(host);
    let description = "Returns the total uptime of the server.\n";
    method(("control", "uptime"), &[], description, move |_| Ok(host.uptime_seconds().into()))
}

fn rpc_info(host: &Arc<dyn Host>, calls: &CallMetrics) -> Method {
    let (host, calls) = (Arc::clone(host), calls.clone());
    let description = "Returns details of the RPC server.\n";
    method(("control", "getrpcinfo"), &[], description, move |_| {
        let now_us = host.monotonic_us();
        let active = calls
            .active()
            .into_iter()
            .map(|call| json!({ "method": call.method, "duration": now_us.saturating_sub(call.started_us) }));
        let log_path = host.log_path().map(|path| path.display().to_string()).unwrap_or_default();
        Ok(json!({ "active_commands": active.collect::<Vec<_>>(), "logpath": log_path }))
    })
}

fn echo(name: &'static str) -> Method {
    let description = "Simply echo back the input arguments. This command is for testing.\n";
    method(("hidden", name), ECHOED, description, |call| {
        let given = call.params.iter().rposition(|value| !value.is_null()).map_or(0, |last| last + 1);
        Ok(call.params[..given].to_vec().into())
    })
}

fn logging(host: &Arc<dyn Host>) -> Method {
    let host = Arc::clone(host);
    let description = "Gets and sets the logging configuration.\n";
    method(("control", "logging"), CATEGORIES, description, move |call| {
        for (at, on) in [(0, true), (1, false)] {
            for category in call.param(at).as_array().into_iter().flatten() {
                let name = category.as_str().ok_or_else(|| crate::method::not_of_type(category, "string"))?;
                if !host.set_log_category(name, on) {
                    return Err(RpcError::parameter(format!("unknown logging category {name}")));
                }
            }
        }
        let categories = host.log_categories().into_iter().map(|(name, on)| (name, on.into()));
        Ok(categories.collect::<Map<_, _>>().into())
    })
}

fn set_mock_time(host: &Arc<dyn Host>) -> Method {
    let host = Arc::clone(host);
    let description = "Set the local time to given timestamp (-regtest only)\n";
    method(("hidden", "setmocktime"), TIMESTAMP, description, move |call| {
        let seconds: i64 = call.integer(0)?.unwrap_or(0);
        if !(0..=MOCK_TIME_MAX).contains(&seconds) {
            let message = format!("Mocktime must be in the range [0, {MOCK_TIME_MAX}], not {seconds}.");
            return Err(RpcError::parameter(message));
        }
        host.set_mock_time((seconds != 0).then_some(Timestamp(seconds.unsigned_abs())));
        Ok(Value::Null)
    })
}
