//! `ai-proxy-free healthcheck`: asks the running server for `/health`, for images without a shell or wget.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use crate::http::HEALTH_PATH;

/// The limit of each step; Docker waits longer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks for `/health` at the server that listens on `host` and `port` of this machine.
///
/// # Errors
/// No server answers there in time, or it answers with another status than 200.
pub(super) fn run(host: &str, port: u16) -> io::Result<()> {
    let host = match host.parse() {
        Ok(IpAddr::V4(address)) if address.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        Ok(IpAddr::V6(address)) if address.is_unspecified() => Ipv6Addr::LOCALHOST.to_string(),
        _ => host.to_owned(),
    };
    let address = (host.as_str(), port).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other("the host has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {HEALTH_PATH} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let status = read_status(&mut stream)?;
    if status == 200 { Ok(()) } else { Err(io::Error::other(format!("{HEALTH_PATH} answered {status}"))) }
}

fn read_status(stream: &mut impl Read) -> io::Result<u16> {
    let mut head = Vec::new();
    let mut buffer = [0; 1_024];
    loop {
        let read = stream.read(&mut buffer)?;
        head.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        // The status line is enough, and arrives before the head is complete.
        response.parse(&head).map_err(io::Error::other)?;
        match response.code {
            Some(code) => return Ok(code),
            None if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => {}
        }
    }
}
