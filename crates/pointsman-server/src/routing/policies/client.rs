//! What a client's own headers tell of it: the kind of device, and the language. Both are what the client says.

use std::borrow::Cow;

/// As much of a header as is looked at; real ones are a third of it.
const LONGEST: usize = 1024;

/// Longest language tag, by RFC 5646 (4.4.1).
const LONGEST_TAG: usize = 35;

/// Words of programs that read pages by themselves.
const BOTS: [&str; 6] = ["bot", "crawl", "spider", "slurp", "facebookexternalhit", "headless"];

/// The kind of device behind a `user-agent`: `bot`, `tablet`, `mobile`, `desktop`, `library` for whatever is no browser
/// (official clients, HTTP libraries, apps that speak through one), or empty where there is none or a browser does not
/// say.
///
/// Android without the word `mobile` is a tablet, as its makers have it. An iPad whose browser asks for the desktop's
/// pages, which is the default there, says that it is a Macintosh.
pub(crate) fn device(user_agent: &[u8]) -> &'static str {
    let text = lower(user_agent);
    let any = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if text.trim().is_empty() {
        ""
    } else if any(&BOTS) {
        "bot"
    } else if !any(&["mozilla/", "opera/"]) {
        "library"
    } else if any(&["ipad", "tablet", "kindle", "silk/"]) || (any(&["android"]) && !any(&["mobile"])) {
        "tablet"
    } else if any(&["mobi", "iphone", "ipod", "windows phone"]) {
        "mobile"
    } else if any(&["windows nt", "macintosh", "x11", "cros", "linux"]) {
        "desktop"
    } else {
        ""
    }
}

/// The first language of an `accept-language`, in lower case, such as `de-at`; empty where there is none. Weights are not
/// looked at: clients write the language they want most first.
pub(crate) fn locale(accept_language: &[u8]) -> String {
    let text = lower(accept_language);
    let first = text.split([',', ';']).next().unwrap_or_default().trim();
    let is_tag = (1..=LONGEST_TAG).contains(&first.len())
        && first
            .split('-')
            .all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    if is_tag { first.to_owned() } else { String::new() }
}

fn lower(header: &[u8]) -> String {
    let text: Cow<'_, str> = String::from_utf8_lossy(&header[..header.len().min(LONGEST)]);
    text.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_what_the_client_says() {
        for (user_agent, expected) in [
            ("", ""),
            (" ", ""),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
                "desktop",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15",
                "desktop",
            ),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0", "desktop"),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "mobile",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
                "mobile",
            ),
            ("Mozilla/5.0 (Android 15; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0", "mobile"),
            (
                "Mozilla/5.0 (Linux; Android 15; SM-X910) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
                "tablet",
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1",
                "tablet",
            ),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
                "bot",
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36",
                "bot",
            ),
            ("OpenAI/Python 1.109.1", "library"),
            ("OpenAI/JS 6.49.0", "library"),
            ("curl/8.15.0", "library"),
            ("MyApp/3 CFNetwork/1568.100.1 Darwin/24.0.0", "library"),
            ("Mozilla/5.0", ""),
        ] {
            assert_eq!(device(user_agent.as_bytes()), expected, "{user_agent}");
        }
        assert_eq!(device(b"\xff\xfe"), "library", "what is no text is no browser");
        assert_eq!(device(&vec![b'a'; 1 << 16]), "library");
    }

    #[test]
    fn the_locale_is_the_first_language() {
        for (accept_language, expected) in [
            ("de-AT, de;q=0.9, en;q=0.8", "de-at"),
            ("en", "en"),
            (" zh-Hant-TW ;q=0.5", "zh-hant-tw"),
            ("*", ""),
            ("", ""),
            (",de", ""),
            ("en_US", ""),
            ("a-verylongpart", ""),
            ("é", ""),
        ] {
            assert_eq!(locale(accept_language.as_bytes()), expected, "{accept_language}");
        }
    }
}
