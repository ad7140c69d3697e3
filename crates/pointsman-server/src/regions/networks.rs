//! Which region an address belongs to, by the operator's list of networks.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use super::is_region;
use crate::error::Error;

/// Most networks, which take some 100 MB.
const MOST: usize = 1_000_000;

/// Longest line, in bytes.
const LONGEST_LINE: usize = 256;

/// A list of networks.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    regions: HashMap<IpNet, u32>,
    names: Vec<String>,
    /// Lengths of prefixes that occur, of IPv4 and of IPv6, the longest first.
    lengths: [Vec<u8>; 2],
}

impl Networks {
    /// Reads a file: a network and a region a line, with a comma between; empty lines, and those that begin with `#`, are passed
    /// over.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let unread = |source| Error::ConfigRead { path: path.to_owned(), source };
        let refused = |line: usize, message: String| Error::Config { path: path.to_owned(), line, message };
        let mut networks = Self::default();
        let mut places: HashMap<String, u32> = HashMap::new();
        let file = BufReader::new(File::open(path).map_err(unread)?);
        for (line, text) in (1..).zip(file.lines()) {
            let text = text.map_err(unread)?;
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let short: String = text.chars().take(80).collect();
            if text.len() > LONGEST_LINE || networks.regions.len() == MOST {
                return Err(refused(line, format!("expected at most {MOST} lines of {LONGEST_LINE} bytes, got more")));
            }
            let parts = text.split_once(',').and_then(|(net, region)| Some((network(net.trim())?, region.trim())));
            let Some((net, region)) = parts.filter(|(_, region)| is_region(region)) else {
                return Err(refused(
                    line,
                    format!("expected a network and a region, such as `203.0.113.0/24,eu`, got `{short}`"),
                ));
            };
            let next = u32::try_from(places.len()).unwrap_or(u32::MAX);
            let place = *places.entry(region.to_owned()).or_insert_with(|| {
                networks.names.push(region.to_owned());
                next
            });
            if networks.regions.insert(net, place).is_some() {
                return Err(refused(line, format!("expected every network once, got {net} again")));
            }
            let lengths = &mut networks.lengths[usize::from(net.addr().is_ipv6())];
            if !lengths.contains(&net.prefix_len()) {
                lengths.push(net.prefix_len());
            }
        }
        networks.lengths.iter_mut().for_each(|lengths| lengths.sort_unstable_by(|a, b| b.cmp(a)));
        Ok(networks)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.regions.is_empty()
    }

    /// The region of the longest network that an address is in.
    pub(crate) fn region(&self, address: IpAddr) -> Option<&str> {
        let lengths = &self.lengths[usize::from(address.is_ipv6())];
        let nets = lengths.iter().filter_map(|length| IpNet::new(address, *length).ok());
        let place = nets.into_iter().find_map(|net| self.regions.get(&net.trunc()))?;
        Some(&self.names[*place as usize])
    }
}

/// A network as it is written: with the length of its prefix, or an address alone.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse::<IpNet>().ok().or_else(alone).map(|net| net.trunc())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn read(text: &str) -> Result<Networks, String> {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text.as_bytes()).expect("it is writable");
        Networks::read(file.path()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_longest_network_counts() {
        let text = "# ours\n10.0.0.0/8,us\n\n 10.1.0.0/16 , eu\r\n10.1.2.3,lab\n2001:db8::/32,eu\n0.0.0.0/0,us\n";
        let networks = read(text).expect("valid");
        let region = |address: &str| networks.region(address.parse().expect("an address"));
        for (address, expected) in [
            ("10.200.0.1", Some("us")),
            ("10.1.9.9", Some("eu")),
            ("10.1.2.3", Some("lab")),
            ("192.0.2.1", Some("us")),
            ("2001:db8::1", Some("eu")),
            ("2001:db9::1", None),
        ] {
            assert_eq!(region(address), expected, "{address}");
        }
        assert!(read("").expect("valid").is_empty());
    }

    #[test]
    fn a_bad_line_is_told_with_its_number() {
        for (text, expected) in [
            (
                "10.0.0.0/8,eu\n10.0.0.0/33,us\n",
                "line 2: expected a network and a region, such as `203.0.113.0/24,eu`, got `10.0.0.0/33,us`",
            ),
            ("10.0.0.0/8\n", "line 1: expected a network and a region"),
            ("10.0.0.0/8,\n", "line 1: expected a network and a region"),
            ("10.0.0.0/8,e u\n", "line 1: expected a network and a region"),
            ("10.0.0.0/8,eu\n10.1.0.0/8,us\n", "line 2: expected every network once, got 10.0.0.0/8 again"),
        ] {
            let error = read(text).expect_err("refused");
            assert!(error.contains(expected), "{error}");
        }
        let missing = Networks::read(Path::new("/nowhere/networks.csv")).expect_err("refused").to_string();
        assert_eq!(missing, "configuration `/nowhere/networks.csv`: cannot be read");
    }
}
