//! The init container: redirects the pod's TCP to the proxy, with the rules of linkerd2-proxy-init and istio-iptables.

use std::{fmt::Write as _, process::ExitCode, process::Stdio};

use anyhow::{Context, bail};
use clap::Args;
use tokio::{io::AsyncWriteExt, process::Command};

/// The words Linkerd's injector writes.
#[derive(Debug, Args)]
pub(crate) struct LinkerdArgs {
    /// Ignored: there is one iptables in the image
    #[arg(long)]
    firewall_bin_path: Option<String>,
    /// Ignored
    #[arg(long)]
    firewall_save_bin_path: Option<String>,
    /// Ignored: the clusters of the tests have no IPv6
    #[arg(long)]
    ipv6: Option<String>,
    /// Where the proxy takes what comes in
    #[arg(long)]
    incoming_proxy_port: u16,
    /// Where the proxy takes what goes out
    #[arg(long)]
    outgoing_proxy_port: u16,
    /// Whose own connections are left alone
    #[arg(long)]
    proxy_uid: u32,
    /// Ports and ranges that are left alone
    #[arg(long, value_delimiter = ',')]
    inbound_ports_to_ignore: Vec<String>,
    /// Ports and ranges that are left alone
    #[arg(long, value_delimiter = ',')]
    outbound_ports_to_ignore: Vec<String>,
}

/// The words Istio's injector writes.
#[derive(Debug, Args)]
pub(crate) struct IstioArgs {
    /// Where the proxy takes what goes out
    #[arg(short = 'p')]
    outgoing: u16,
    /// Where the proxy takes what comes in
    #[arg(short = 'z')]
    incoming: u16,
    /// Whose own connections are left alone
    #[arg(short = 'u')]
    uid: u32,
    /// Ignored: always REDIRECT
    #[arg(short = 'm')]
    mode: Option<String>,
    /// Ignored: always all addresses
    #[arg(short = 'i')]
    addresses: Option<String>,
    /// Ignored: always none
    #[arg(short = 'x')]
    excluded_addresses: Option<String>,
    /// Ignored: always all ports
    #[arg(short = 'b')]
    ports: Option<String>,
    /// Inbound ports that are left alone
    #[arg(short = 'd', value_delimiter = ',')]
    inbound: Vec<String>,
    /// Outbound ports that are left alone
    #[arg(short = 'o', value_delimiter = ',')]
    outbound: Vec<String>,
    /// Ignored
    #[arg(long = "log_output_level")]
    log: Option<String>,
}

/// What is redirected where.
#[derive(Debug)]
pub(crate) struct Rules {
    incoming: u16,
    outgoing: u16,
    uid: u32,
    inbound_left_alone: Vec<String>,
    outbound_left_alone: Vec<String>,
}

impl From<LinkerdArgs> for Rules {
    fn from(args: LinkerdArgs) -> Self {
        Self {
            incoming: args.incoming_proxy_port,
            outgoing: args.outgoing_proxy_port,
            uid: args.proxy_uid,
            inbound_left_alone: args.inbound_ports_to_ignore,
            outbound_left_alone: args.outbound_ports_to_ignore,
        }
    }
}

impl From<IstioArgs> for Rules {
    fn from(args: IstioArgs) -> Self {
        Self {
            incoming: args.incoming,
            outgoing: args.outgoing,
            uid: args.uid,
            inbound_left_alone: args.inbound,
            outbound_left_alone: args.outbound,
        }
    }
}

// === impl Rules ===

impl Rules {
    /// The nat table as iptables-restore reads it. What the proxy sends, and what stays in the pod, goes its own way.
    fn table(&self) -> anyhow::Result<String> {
        let mut text = String::from("*nat\n:MESH_IN - [0:0]\n:MESH_OUT - [0:0]\n");
        let Self { incoming, outgoing, uid, .. } = self;
        for ports in dports(&self.inbound_left_alone)? {
            writeln!(text, "-A MESH_IN -p tcp --dport {ports} -j RETURN")?;
        }
        writeln!(text, "-A MESH_IN -p tcp -j REDIRECT --to-ports {incoming}")?;
        writeln!(text, "-A PREROUTING -p tcp -j MESH_IN")?;
        writeln!(text, "-A MESH_OUT -m owner --uid-owner {uid} -j RETURN")?;
        writeln!(text, "-A MESH_OUT -o lo -j RETURN")?;
        for ports in dports(&self.outbound_left_alone)? {
            writeln!(text, "-A MESH_OUT -p tcp --dport {ports} -j RETURN")?;
        }
        writeln!(text, "-A MESH_OUT -p tcp -j REDIRECT --to-ports {outgoing}")?;
        writeln!(text, "-A OUTPUT -p tcp -j MESH_OUT\nCOMMIT")?;
        Ok(text)
    }
}

/// `80` or `80-90`, as people write them in annotations, in iptables' words.
fn dports(ports: &[String]) -> anyhow::Result<Vec<String>> {
    let ports = ports.iter().map(|port| port.trim()).filter(|port| !port.is_empty());
    ports
        .map(|port| {
            let mut ends = port.splitn(2, '-').map(|end| end.trim().parse::<u16>());
            match (ends.next(), ends.next()) {
                (Some(Ok(port)), None) => Ok(port.to_string()),
                (Some(Ok(first)), Some(Ok(last))) => Ok(format!("{first}:{last}")),
                _ => bail!(
                    "{port:?} is no port to leave alone: write one as in 6565, or a range as in 6000-6100"
                ),
            }
        })
        .collect()
}

/// Writes the rules into this pod's network namespace.
pub(crate) async fn install(rules: &Rules) -> anyhow::Result<ExitCode> {
    let table = rules.table()?;
    let mut restore = Command::new("iptables-nft-restore")
        .arg("--noflush")
        .stdin(Stdio::piped())
        .spawn()
        .context("iptables-nft-restore does not start: is it in the image?")?;
    if let Some(mut input) = restore.stdin.take() {
        input.write_all(table.as_bytes()).await.context("iptables-nft-restore takes no rules")?;
    }
    let status = restore.wait().await?;
    if !status.success() {
        bail!("iptables-nft-restore ended with {status} on these rules:\n{table}");
    }
    tracing::info!(?rules, "The pod's TCP goes through the proxy now");
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_redirected_but_what_is_left_alone() {
        let rules = Rules {
            incoming: 4143,
            outgoing: 4140,
            uid: 2102,
            inbound_left_alone: vec!["4190".into(), "6000-6100".into(), String::new()],
            outbound_left_alone: vec!["6565".into()],
        };
        let table = rules.table().unwrap();
        let place = |rule: &str| table.find(rule).unwrap_or_else(|| panic!("no {rule} in {table}"));
        assert!(place("--dport 6000:6100 -j RETURN") < place("--to-ports 4143"));
        assert!(place("--uid-owner 2102 -j RETURN") < place("-o lo -j RETURN"));
        assert!(place("--dport 6565 -j RETURN") < place("--to-ports 4140"));
    }

    #[test]
    fn what_is_no_port_is_named() {
        let error = dports(&["http".into()]).unwrap_err().to_string();
        assert!(error.contains("\"http\"") && error.contains("6565"), "{error}");
    }
}
