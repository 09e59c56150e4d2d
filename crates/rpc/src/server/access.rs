//! Who is let in: addresses, logins, servers that are open to this machine, and what browsers may do.

use std::net::SocketAddr;
use std::time::Duration;

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN,
    VARY, WWW_AUTHENTICATE,
};
use hyper::{Method, Request, Response, StatusCode};

use super::Shared;
use super::connection::{Body, empty, text};
use crate::auth::IpRange;
use crate::jsonrpc::Caller;

/// What a wrong password costs (Bitcoin Core `HTTPReq_JSONRPC`).
const WRONG_PASSWORD_DELAY: Duration = Duration::from_millis(250);
/// What bodies of callers without a login are called (go-ethereum `rpc/http.go`). A page in a browser cannot say so
/// to a foreign server without asking first.
const JSON_TYPES: [&str; 3] = ["application/json", "application/json-rpc", "application/jsonrequest"];

/// Lets callers in without a login, for the methods of dialects that are public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAccess {
    /// Names in the `Host` header that are taken (go-ethereum's `--http.vhosts`); `*` for all. Numeric addresses always
    /// are. A web page that makes its own name point to this machine carries that name, and is refused.
    pub hosts: Vec<String>,
    /// Callers beside those on this machine that need no login; they must also be in
    /// [`super::ServerConfig::allow`].
    pub from: Vec<IpRange>,
}

impl Default for OpenAccess {
    /// This machine, by its address or as `localhost`.
    fn default() -> Self {
        Self { hosts: vec!["localhost".into()], from: Vec::new() }
    }
}

impl OpenAccess {
    fn takes_host(&self, header: &str) -> bool {
        let name = match header.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => header.rsplit_once(':').map_or(header, |(name, _)| name),
        };
        name.is_empty()
            || name.parse::<std::net::IpAddr>().is_ok()
            || self.hosts.iter().any(|host| host == "*" || host.eq_ignore_ascii_case(name))
    }
}

fn word<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Whether connections from an address are answered at all.
pub(super) fn is_allowed(peer: SocketAddr, shared: &Shared) -> bool {
    IpRange::LOOPBACK.iter().chain(&shared.config.allow).any(|range| range.contains(peer.ip()))
}

/// Who a request is from.
///
/// # Errors
/// The refusal to send.
pub(super) async fn caller<B>(
    request: &Request<B>,
    peer: SocketAddr,
    shared: &Shared,
) -> Result<Caller, Response<Body>> {
    let header = request.headers().get(AUTHORIZATION);
    if header.and_then(|header| header.to_str().ok()).is_some_and(|header| shared.gate.admits(header)) {
        return Ok(Caller { is_operator: true, session: None });
    }
    if header.is_some() {
        tracing::warn!(%peer, "incorrect RPC password attempt");
        tokio::time::sleep(WRONG_PASSWORD_DELAY).await;
    } else if let Some(open) = &shared.config.open
        && IpRange::LOOPBACK.iter().chain(&open.from).any(|range| range.contains(peer.ip()))
    {
        return match refusal_of_open(request, open) {
            None => Ok(Caller::default()),
            Some(refusal) => Err(refusal),
        };
    }
    let mut refusal = empty(StatusCode::UNAUTHORIZED);
    refusal.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"jsonrpc\""));
    Err(refusal)
}

/// What a caller without a login must respect, so that no web page speaks for the person in front of it.
fn refusal_of_open<B>(request: &Request<B>, open: &OpenAccess) -> Option<Response<Body>> {
    if !open.takes_host(word(request.headers(), &HOST).unwrap_or_default()) {
        return Some(text(StatusCode::FORBIDDEN, "invalid host specified\n"));
    }
    let kind = word(request.headers(), &CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_json = JSON_TYPES.iter().any(|known| known.eq_ignore_ascii_case(kind));
    let message = "invalid content type, only application/json is supported\n";
    (request.method() == Method::POST && !is_json).then(|| text(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
}

/// The origin of a request as far as it may read answers: browsers name it, others do not.
pub(super) fn allowed_origin<B>(request: &Request<B>, shared: &Shared) -> Option<HeaderValue> {
    let origin = request.headers().get(ORIGIN)?;
    let name = origin.to_str().ok()?;
    let listed = |known: &String| known == "*" || known.eq_ignore_ascii_case(name);
    shared.config.cors_origins.iter().any(listed).then(|| origin.clone())
}

/// Whether a WebSocket may be opened: browsers ask nobody before they open one, so the origin is checked here.
pub(super) fn may_open_socket<B>(request: &Request<B>, shared: &Shared) -> bool {
    request.headers().get(ORIGIN).is_none() || allowed_origin(request, shared).is_some()
}

/// The answer to a browser that asks what it may do.
pub(super) fn preflight() -> Response<Body> {
    let mut response = empty(StatusCode::NO_CONTENT);
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_METHODS, "POST, GET"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "content-type, authorization"),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lets the origin read the answer.
pub(super) fn add_origin(response: &mut Response<Body>, origin: HeaderValue) {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    response.headers_mut().insert(VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_host(header: &str, expected: bool) {
        assert_eq!(OpenAccess::default().takes_host(header), expected, "{header}");
    }

    #[test]
    fn names_that_could_be_anybodys_are_refused() {
        for header in ["localhost", "LOCALHOST:8545", "127.0.0.1:8545", "[::1]:8545", "192.168.1.2", ""] {
            check_host(header, true);
        }
        for header in ["evil.example", "evil.example:8545", "localhost.evil.example:8545", "[evil]:1"] {
            check_host(header, false);
        }
        let all = OpenAccess { hosts: vec!["*".into()], ..OpenAccess::default() };
        assert!(all.takes_host("evil.example"));
    }
}
