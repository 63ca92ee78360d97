//! `ai-proxy-free demo`: the proxy over simulated providers, to try without a key and without a network.
use crate::ledger::Clock;
use std::io;
use std::net::SocketAddr;
/// x
pub struct Demo;
impl Demo {
    /// x
    /// # Errors
    /// x
    pub async fn start(_clock: Clock) -> io::Result<Self> {
        Ok(Self)
    }
    /// x
    pub fn variable(&self, _name: &str) -> Option<Option<String>> {
        None
    }
}
/// x
pub fn invitation(_address: SocketAddr, _needs: bool) -> String {
    String::new()
}
