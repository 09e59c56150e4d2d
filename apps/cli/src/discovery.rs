//! Finding running nodes under `./chainwright-data`.
//!
//! A node writes `rpc.address` beside its `.cookie` when its RPC server listens and removes it when it stops. A file that
//! was left behind by a killed node is recognised because nobody answers.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::args::RpcArgs;
use crate::error::{CliError, CliResult};
use crate::rpc_client::{Login, Rpc};

/// Where data lives unless told otherwise.
pub(crate) const DATA: &str = "chainwright-data";
/// The file that says where a node's RPC server listens.
const ADDRESS_FILE: &str = "rpc.address";
/// The file with the login.
const COOKIE_FILE: &str = ".cookie";
/// How deep nodes' folders lie below [`DATA`]: chain, node.
const DEPTH: usize = 2;

/// Says where the RPC server of the node with this data directory listens.
pub(crate) fn announce(data: &Path, address: SocketAddr) {
    // Only a convenience: without the file people name the address themselves.
    let _ = std::fs::write(data.join(ADDRESS_FILE), address.to_string());
}

/// Takes the announcement back.
pub(crate) fn withdraw(data: &Path) {
    let _ = std::fs::remove_file(data.join(ADDRESS_FILE));
}

/// The node the arguments name, or the first one that runs here.
///
/// # Errors
/// When none is found.
pub(crate) fn find(args: &RpcArgs) -> CliResult<Rpc> {
    let found = nodes(Path::new(DATA), DEPTH);
    let wanted = |(address, _): &&(SocketAddr, PathBuf)| match &args.rpc {
        Some(rpc) => *rpc == address.to_string(),
        None => is_alive(*address),
    };
    let node = found.iter().find(wanted);
    let Some(address) = args.rpc.clone().or_else(|| node.map(|(address, _)| address.to_string())) else {
        return Err(CliError::no_answer(format!("no running node was found under ./{DATA}"))
            .hint("start a network with `chainwright dev`, or name a node with --rpc HOST:PORT"));
    };
    let login = match (&args.user, &args.cookie, node) {
        (Some(user), _, _) => Login::Password(user.clone()),
        (None, Some(file), _) => Login::Cookie(file.clone()),
        (None, None, Some((_, folder))) => Login::Cookie(folder.join(COOKIE_FILE)),
        (None, None, None) if !listens(&address) => {
            return Err(CliError::no_answer(format!("nothing listens at {address}"))
                .hint("is the node running? `chainwright node` prints where its RPC server listens"));
        }
        // Public dialects need none on this machine; others say so.
        (None, None, None) => Login::Nobody,
    };
    Ok(Rpc::new(address, login))
}

/// The folder of the node that an RPC address belongs to, if it lies here.
pub(crate) fn folder_of(address: &str) -> Option<PathBuf> {
    let nodes = nodes(Path::new(DATA), DEPTH);
    nodes.into_iter().find(|(known, _)| known.to_string() == address).map(|(_, folder)| folder)
}

fn nodes(folder: &Path, depth: usize) -> Vec<(SocketAddr, PathBuf)> {
    let mut found = Vec::new();
    let address = std::fs::read_to_string(folder.join(ADDRESS_FILE)).ok();
    if let Some(address) = address.and_then(|text| text.trim().parse().ok()) {
        found.push((address, folder.to_path_buf()));
    }
    if depth > 0
        && let Ok(entries) = std::fs::read_dir(folder)
    {
        let mut folders: Vec<_> =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        folders.sort();
        found.extend(folders.iter().flat_map(|folder| nodes(folder, depth - 1)));
    }
    found
}

/// Whether anybody listens at `host:port`.
fn listens(address: &str) -> bool {
    address.to_socket_addrs().is_ok_and(|mut addresses| addresses.any(is_alive))
}

fn is_alive(address: SocketAddr) -> bool {
    TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_nodes_are_found_in_order_and_withdrawn_ones_are_not() {
        let data = tempfile::tempdir().unwrap();
        for (name, port) in [("b", 2), ("a", 1)] {
            let folder = data.path().join("chain").join(name);
            std::fs::create_dir_all(&folder).unwrap();
            announce(&folder, ([127, 0, 0, 1], port).into());
        }
        let ports =
            || nodes(data.path(), DEPTH).iter().map(|(address, _)| address.port()).collect::<Vec<_>>();
        assert_eq!(ports(), [1, 2]);
        withdraw(&data.path().join("chain/a"));
        assert_eq!(ports(), [2]);
    }
}
