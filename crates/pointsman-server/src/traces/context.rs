//! W3C trace context: what a client says of its trace, and what a target is told of ours.
//!
//! # References
//! W3C Recommendation "Trace Context", sections 3.2 (`traceparent`) and 3.3 (`tracestate`).

use axum::http::{HeaderMap, HeaderValue};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// The client's span; `None` where there is none, or its header is malformed, which is the same.
pub(super) fn parent(headers: &HeaderMap) -> Option<SpanContext> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let mut parts = value.to_str().ok()?.split('-');
    let mut hex = |digits: usize| {
        let is_hex = |part: &&str| part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        parts.next().filter(is_hex)
    };
    let (version, trace, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
    // Later versions may say more; this one may not, and `ff` is none.
    if version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?) & TraceFlags::SAMPLED;
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let context = SpanContext::new(trace, span, flags, true, state(headers));
    context.is_valid().then_some(context)
}

/// The `tracestate`, whose lines are one list; a malformed one is none.
fn state(headers: &HeaderMap) -> TraceState {
    let lines: Vec<&str> = headers.get_all(TRACESTATE).iter().filter_map(|line| line.to_str().ok()).collect();
    lines.join(",").parse().unwrap_or_default()
}

/// Puts a span in the place of the client's. Its `tracestate` goes on as it came, but without a trace it belongs to it is none.
pub(super) fn mark(headers: &mut HeaderMap, span: &SpanContext, is_continued: bool) {
    let flags = (span.trace_flags() & TraceFlags::SAMPLED).to_u8();
    let value = format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id());
    headers.insert(TRACEPARENT, HeaderValue::try_from(value).expect("hexadecimal is ASCII"));
    if !is_continued {
        headers.remove(TRACESTATE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(parent: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_str(parent).expect("ASCII"));
        headers
    }

    #[test]
    fn a_parent_is_taken_as_it_is_written() {
        let mut given = headers(VALID);
        given.append(TRACESTATE, HeaderValue::from_static("a=1,b=2"));
        given.append(TRACESTATE, HeaderValue::from_static("c=3"));
        let span = parent(&given).expect("valid");
        assert_eq!(span.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(span.span_id().to_string(), "00f067aa0ba902b7");
        assert!(span.is_sampled() && span.is_remote());
        assert_eq!(span.trace_state().header(), "a=1,b=2,c=3");
        mark(&mut given, &span, true);
        assert_eq!(given[TRACEPARENT], VALID);
        assert!(parent(&headers(&format!("cc{}-more", &VALID[2..]))).is_some(), "a later version");
        assert!(!parent(&headers(&format!("{}00", &VALID[..53]))).expect("valid").is_sampled());
    }

    #[test]
    fn a_malformed_parent_is_none() {
        for bad in [
            String::new(),
            "00".to_owned(),
            format!("ff{}", &VALID[2..]),
            format!("{VALID}-more"),
            VALID.to_uppercase(),
            VALID.replace("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"),
            VALID.replace("00f067aa0ba902b7", "0000000000000000"),
            VALID.replace("00f067aa0ba902b7", "+0f067aa0ba902b7"),
            VALID.replace("00f067aa0ba902b7", "f067aa0ba902b7"),
        ] {
            assert_eq!(parent(&headers(&bad)), None, "{bad}");
        }
        let mut twice = headers(VALID);
        twice.append(TRACEPARENT, HeaderValue::from_static(VALID));
        assert_eq!(parent(&twice), None);
    }
}
