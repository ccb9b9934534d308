//! `kmsd dev`: what it is told, and what it prints.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use crate::kms::id::{AccountId, Region};
use crate::kms::limits::Limits;
use crate::store::ephemeral::Tenant;

/// Serve from memory, for tests.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Twelve digits. Repeat it for further accounts, each strictly apart from the others.
    #[arg(long = "account", value_name = "ACCOUNT", default_value = "111122223333")]
    pub accounts: Vec<AccountId>,

    /// The Region that ARNs and signatures name. Repeat it for further ones, into which
    /// multi-Region keys can be replicated.
    #[arg(long = "region", value_name = "REGION", default_value = "us-east-1")]
    pub regions: Vec<Region>,

    /// Loopback address to serve; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:4577")]
    pub listen: SocketAddr,
}

/// AWS's quotas; rotations on demand were ten when answers were recorded that suites for other
/// services compare with.
pub fn limits() -> Limits {
    Limits { rotations: 10, ..Limits::default() }
}

/// Prints, for a shell to take over, where the service is and the first account's access key;
/// those of further accounts follow as comments.
pub fn print(tenants: &[Tenant], regions: &[Region], address: SocketAddr) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "export AWS_ENDPOINT_URL_KMS=http://{address}")?;
    writeln!(out, "export AWS_ENDPOINT_URL_STS=http://{address}")?;
    if let Some(region) = regions.first() {
        writeln!(out, "export AWS_REGION={region}")?;
        writeln!(out, "export AWS_DEFAULT_REGION={region}")?;
    }
    for (number, tenant) in tenants.iter().enumerate() {
        let comment = if number == 0 { "" } else { "# " };
        // The one place where a secret is printed: it is made for this, and ends with the process.
        let secret = String::from_utf8_lossy(tenant.secret_access_key.expose());
        writeln!(out, "# account {}", tenant.account)?;
        writeln!(out, "{comment}export AWS_ACCESS_KEY_ID={}", tenant.access_key_id)?;
        writeln!(out, "{comment}export AWS_SECRET_ACCESS_KEY={secret}")?;
    }
    out.flush()
}
