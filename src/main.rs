//! The program: everything is in the library, so that tests can have it too.

use std::process::ExitCode;

fn main() -> ExitCode {
    ai_proxy_free::main()
}
