//! What a request came to: done, refused, or the API server itself was away.

use tokio::time::error::Elapsed;

/// What it came to.
pub(crate) enum Answer<T> {
    Done(T),
    /// Whoever refused it, and why, without what differs from try to try.
    Refused(String),
    /// Nobody answered, or an API server that is only just coming up.
    Away,
}

/// Sorts an answer.
pub(crate) fn answer_to<T>(answer: Result<kube::Result<T>, Elapsed>) -> Answer<T> {
    match answer {
        Ok(Ok(done)) => Answer::Done(done),
        Ok(Err(kube::Error::Api(status))) if ![429, 503, 504].contains(&status.code) => {
            Answer::Refused(reason(&status.message))
        }
        Ok(Err(_)) | Err(_) => Answer::Away,
    }
}

/// Whether an error says only that the API server is away.
pub(crate) fn is_away(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => [429, 503, 504].contains(&status.code),
        Some(_) => true,
        None => false,
    }
}

/// What the API server says of a webhook that does not answer ends with `Post "URL": WHY`, where addresses and ports
/// differ.
fn reason(message: &str) -> String {
    let why = message.rsplit_once("\": ").map_or(message, |(_, why)| why);
    let plain = |word: &str| !word.contains("->") && !word.starts_with(|c: char| c.is_ascii_digit());
    let words: Vec<_> = why.split(' ').filter(|word| plain(word)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_without_addresses() {
        let call = "Internal error occurred: failed calling webhook \"namespaces.curfew.dev\": failed to call webhook: \
                    Post \"https://curfew.curfew.svc:443/mutate?timeout=5s\": ";
        for (why, short) in [
            ("EOF", "EOF"),
            ("dial tcp 198.19.0.7:443: connect: connection refused", "dial tcp connect: connection refused"),
            (
                "read tcp 198.18.255.1:1->198.19.0.7:443: read: connection reset by peer",
                "read tcp read: connection reset by peer",
            ),
        ] {
            assert_eq!(reason(&format!("{call}{why}")), short);
        }
        assert_eq!(reason("exceeded quota"), "exceeded quota");
    }
}
