//! Checks of the running application that are made from the runner. This module does not decide what a failed check
//! means.

use crate::io::http::{self, Roots, Route};
use crate::manifest::environment::{Check, CheckProbe, Vantage};
use crate::resource::compose::check::PASSES;
use std::time::Duration;

/// Time limit of one request.
const LIMIT: Duration = Duration::from_secs(5);

/// Performs the checks that run from this machine against the address of a host. Returns the result of each check with
/// its name.
pub async fn from_runner(checks: &[Check], address: &str) -> Vec<(String, String)> {
    let checks = checks.iter().filter(|check| check.from == Vantage::Runner);
    let ask = |check: &Check| {
        let check = check.clone();
        async move { (check.name.clone(), ask(address, &check.probe).await.unwrap_or_else(|found| found)) }
    };
    futures::future::join_all(checks.map(ask)).await
}

async fn ask(address: &str, probe: &CheckProbe) -> Result<String, String> {
    match probe {
        CheckProbe::Tcp(port) => {
            let connect = tokio::net::TcpStream::connect((address, *port));
            match tokio::time::timeout(LIMIT, connect).await {
                Ok(Ok(_)) => Ok(PASSES.to_owned()),
                Ok(Err(error)) => Err(error.kind().to_string()),
                Err(_) => Err("no answer".to_owned()),
            }
        }
        CheckProbe::Http { port, path, status, contains, tls, host } => {
            let scheme = if *tls { "https" } else { "http" };
            let authority = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            let ip = address.parse::<std::net::IpAddr>().ok();
            let pinned = host.as_deref().zip(ip).map(|(host, ip)| Route::Pinned(host, (ip, *port).into()));
            let roots = if *tls { Roots::System } else { Roots::None };
            let request = http::client(LIMIT, pinned.unwrap_or(Route::Direct), &roots)
                .map_err(|error| error.to_string())?
                .get(format!("{scheme}://{}:{port}{path}", host.as_deref().unwrap_or(&authority)));
            let answer = request.send().await.map_err(|_| "no answer".to_owned())?;
            if answer.status().as_u16() != *status {
                return Err(format!("status {} instead of {status}", answer.status().as_u16()));
            }
            let Some(text) = contains else { return Ok(PASSES.to_owned()) };
            let body = http::body(answer).await.map_err(|unread| unread.to_string())?;
            let found = String::from_utf8_lossy(&body).contains(text);
            if found { Ok(PASSES.to_owned()) } else { Err("the response does not contain the text".to_owned()) }
        }
    }
}
