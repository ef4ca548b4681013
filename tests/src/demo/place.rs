//! Where a pod's things are on this machine.
//!
//! Without namespaces a pod cannot have `/test` or `127.0.0.1` to itself. So each gets folders and a loopback
//! address of its own, and these texts are put in their place, in argv, in plain environment values and in
//! ConfigMap files, and nowhere else:
//!
//! | in the pod | here |
//! |---|---|
//! | a volume's mount path | the volume's folder |
//! | `/tmp` | the container's own folder |
//! | the termination message path | a file |
//! | `127.0.0.1`, `0.0.0.0`, `localhost` | the pod's address |
//! | a Service's cluster address | its pod's address |
//! | `/curfew-reaper`, in the installer's image | the program itself |

/// Texts to replace, each only where it stands as a whole.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// Longest first, so that `/test/data` wins over `/test`.
    pairs: Vec<(String, String)>,
}

// === impl Places ===

impl Places {
    /// Replaces `from` by `to`; the later of two equal texts wins.
    pub(super) fn put(&mut self, from: impl Into<String>, to: impl Into<String>) {
        let from = from.into();
        self.pairs.retain(|(known, _)| *known != from);
        if !from.is_empty() {
            self.pairs.push((from, to.into()));
            self.pairs.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
        }
    }

    /// The text with every replacement made, each once: what was put in is not looked at again.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None;
        while let Some(next) = rest.chars().next() {
            match self.pairs.iter().find(|(from, _)| stands_here(from, before, rest)) {
                Some((from, to)) => {
                    result.push_str(to);
                    rest = &rest[from.len()..];
                    before = from.chars().last();
                }
                None => {
                    result.push(next);
                    rest = &rest[next.len_utf8()..];
                    before = Some(next);
                }
            }
        }
        result
    }
}

/// Whether `rest` begins with `from`, and neither side runs on: `/test` is not in `/tests` or `/a/test`,
/// `127.0.0.1` not in `127.0.0.10`.
fn stands_here(from: &str, before: Option<char>, rest: &str) -> bool {
    let Some(after) = rest.strip_prefix(from) else { return false };
    let in_word = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    let path = from.starts_with('/');
    let begins = !before.is_some_and(|c| in_word(c) || (path && c == '/'));
    begins && !after.chars().next().is_some_and(in_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        let mut places = Places::default();
        for (from, to) in [
            ("/test", "/v/test"),
            ("/test/data", "/v/data"),
            ("/tmp", "/tmp/demo/c/tmp"),
            ("127.0.0.1", "127.9.9.9"),
            ("0.0.0.0", "127.9.9.9"),
            ("/.curfew/bin", "/v/bin"),
        ] {
            places.put(from, to);
        }
        places
    }

    #[test]
    fn what_stands_as_a_whole_is_replaced_once() {
        let places = places();
        for (text, expected) in [
            ("/test/test.js", "/v/test/test.js"),
            ("/test/data/x", "/v/data/x"),
            ("--address=0.0.0.0:6565", "--address=127.9.9.9:6565"),
            ("http://127.0.0.1:4191/ready", "http://127.9.9.9:4191/ready"),
            (
                "k6 archive /test/test.js -O /tmp/a.tar 2> /tmp/log",
                "k6 archive /v/test/test.js -O /tmp/demo/c/tmp/a.tar 2> /tmp/demo/c/tmp/log",
            ),
            ("/.curfew/bin/curfew-reaper", "/v/bin/curfew-reaper"),
            ("$(dirname /tmp/x)", "$(dirname /tmp/demo/c/tmp/x)"),
        ] {
            assert_eq!(places.apply(text), expected);
        }
    }

    #[test]
    fn what_only_looks_alike_stays() {
        let places = places();
        for text in ["/tests", "/a/test", "127.0.0.10", "1127.0.0.1", "http://x/test", "ü/test.ü", ""] {
            assert_eq!(places.apply(text), text);
        }
    }
}
