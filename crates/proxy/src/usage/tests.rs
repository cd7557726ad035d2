use super::*;
use proptest::prelude::*;

const START: &str = r#"{"type":"message_start","message":{"id":"m","model":"claude-sonnet-5","usage":{"input_tokens":25,"cache_creation_input_tokens":700,"cache_read_input_tokens":3000,"cache_creation":{"ephemeral_5m_input_tokens":200,"ephemeral_1h_input_tokens":500},"output_tokens":1}}}"#;
const TEXT: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"{\"usage\": {\"output_tokens\": 9999999}} ünï"}}"#;
const UNKNOWN: &str = r#"{"type":"of_the_future","usage":[1,2,{"output_tokens":"many"}]}"#;
const DELTA: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":150,"server_tool_use":{"web_search_requests":2}}}"#;

fn stream(end: &str) -> Vec<u8> {
    let mut text = String::from(": hello\nretry: 10\n\n");
    for event in [START, TEXT, r#"{"type":"ping"}"#, UNKNOWN, "not json", DELTA, r#"{"type":"message_stop"}"#] {
        text.extend(["event: some", end, "data: ", event, end, end]);
    }
    text.into_bytes()
}
fn want() -> Tokens {
    Tokens { input: 25, cache_read: 3000, cache_write: 200, cache_write_1h: 500, output: 150, searches: 2 }
}
fn read(api: Api, kind: &str, pieces: &[&[u8]]) -> Seen {
    let mut reader = Reader::new(api, kind);
    for piece in pieces {
        reader.feed(piece);
    }
    reader.finish();
    reader.seen().clone()
}
const SSE: &str = "text/event-stream; charset=utf-8";

#[test]
fn a_stream_is_read_however_it_is_cut_into_pieces() {
    for end in ["\n", "\r\n", "\r"] {
        let stream = stream(end);
        for at in 0..=stream.len() {
            let seen = read(Api::Messages, SSE, &[&stream[..at], &stream[at..]]);
            assert_eq!((seen.tokens, seen.whole), (want(), true), "cut at {at}");
            assert_eq!(seen.model.as_deref(), Some("claude-sonnet-5"));
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read(Api::Messages, SSE, &bytes).tokens, want());
    }
}

#[test]
fn a_stream_that_breaks_off_is_never_taken_for_whole() {
    let stream = stream("\n");
    // The end is the closing brace of `message_stop`: behind it nothing is missing.
    let end = stream.len() - 2;
    for at in 0..=stream.len() {
        let seen = read(Api::Messages, SSE, &[&stream[..at]]);
        assert_eq!(seen.whole, end <= at, "cut at {at} of {}", stream.len());
    }
    let start = format!("data: {START}\n\ndata: {{\"type\":\"message_stop\"}}\n\n");
    assert!(!read(Api::Messages, SSE, &[start.as_bytes()]).whole, "its output was never said");
}

#[test]
fn a_line_of_64_mb_passes_and_what_follows_it_is_read() {
    let long = vec![b'x'; 64 * 1024 * 1024];
    let mut reader = Reader::new(Api::Messages, SSE);
    reader.feed(format!("data: {START}\n\ndata: {{\"usage\": \"").as_bytes());
    for piece in long.chunks(64 * 1024) {
        reader.feed(piece);
    }
    reader.feed(format!("\"}}\n\ndata: {DELTA}\n\ndata: {{\"type\":\"message_stop\"}}\n\n").as_bytes());
    assert_eq!((reader.seen().tokens, reader.seen().whole), (want(), true));
    let mut body = Reader::new(Api::Messages, "application/json");
    for piece in long.chunks(64 * 1024) {
        body.feed(piece);
    }
    body.finish();
    assert!(!body.seen().whole, "and a body of that size is not known");
}

#[test]
fn an_answer_that_comes_whole_is_read_and_a_broken_one_is_not_known() {
    let body = r#"{"type":"message","model":"m","usage":{"input_tokens":3,"output_tokens":4,"cache_creation_input_tokens":5}}"#;
    let seen = read(Api::Messages, "application/json", &[&body.as_bytes()[..20], &body.as_bytes()[20..]]);
    assert_eq!((seen.tokens.input, seen.tokens.output, seen.tokens.cache_write, seen.whole), (3, 4, 5, true));
    for broken in ["", "[]", "{\"usage\":null}", "{\"usage\":{\"input_tokens\":-1,\"output_tokens\":1}}", &body[..40]] {
        assert!(!read(Api::Messages, "application/json", &[broken.as_bytes()]).whole, "{broken}");
    }
}

#[test]
fn responses_and_chat_completions_are_read_too() {
    let responses = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"x\"}\n\n\
        event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"model\":\"gpt-6-sol\",\"usage\":{\"input_tokens\":100,\
        \"input_tokens_details\":{\"cached_tokens\":60,\"cache_write_tokens\":10},\"output_tokens\":20}}}\n\n";
    let seen = read(Api::Responses, SSE, &[responses.as_bytes()]);
    let want = Tokens { input: 30, cache_read: 60, cache_write: 10, output: 20, ..Tokens::default() };
    assert_eq!((seen.tokens, seen.whole, seen.model.as_deref()), (want, true, Some("gpt-6-sol")));
    let failed = "data: {\"type\":\"response.failed\",\"response\":{\"usage\":null}}\n\n";
    assert!(!read(Api::Responses, SSE, &[failed.as_bytes()]).whole);

    let chat = "data: {\"choices\":[{\"delta\":{}}],\"usage\":null}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\
        \"completion_tokens\":3,\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\ndata: [DONE]\n\n";
    let seen = read(Api::Chat, SSE, &[chat.as_bytes()]);
    assert_eq!((seen.tokens.input, seen.tokens.cache_read, seen.tokens.output, seen.whole), (5, 4, 3, true));
}

#[test]
fn frames_of_bedrock_are_read_however_they_are_cut() {
    use base64::Engine as _;
    let frame = |event: &str| {
        let payload = format!("{{\"bytes\":\"{}\"}}", base64::engine::general_purpose::STANDARD.encode(event));
        let headers = b"\x0b:event-type\x07\x00\x05chunk";
        let total = (16 + headers.len() + payload.len()) as u32;
        let mut bytes = total.to_be_bytes().to_vec();
        bytes.extend((headers.len() as u32).to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(headers);
        bytes.extend(payload.as_bytes());
        bytes.extend([0; 4]);
        bytes
    };
    let stream: Vec<u8> = [START, TEXT, DELTA, r#"{"type":"message_stop"}"#].into_iter().flat_map(frame).collect();
    let kind = "application/vnd.amazon.eventstream";
    for at in 0..=stream.len() {
        let seen = read(Api::InvokeStream, kind, &[&stream[..at], &stream[at..]]);
        assert_eq!((seen.tokens, seen.whole), (want(), true), "cut at {at}");
        assert_eq!(read(Api::InvokeStream, kind, &[&stream[..at]]).whole, at == stream.len());
    }
    // A frame of 64 MB is left out, and one whose lengths do not fit ends the reading.
    let mut long = (64 * 1024 * 1024_u32).to_be_bytes().to_vec();
    long.resize(64 * 1024 * 1024, 0);
    let seen = read(Api::InvokeStream, kind, &[&long[..1000], &long[1000..], &stream]);
    assert_eq!(seen.tokens, want());
    assert!(!read(Api::InvokeStream, kind, &[&[0; 64], &stream]).whole);
}

proptest! {
    #[test]
    fn nothing_that_comes_is_too_much(bytes in prop::collection::vec(any::<u8>(), 0..400), cut in 0_usize..400) {
        let cut = cut.min(bytes.len());
        for kind in [SSE, "application/json", "application/vnd.amazon.eventstream", ""] {
            for api in [Api::Messages, Api::Responses, Api::Chat, Api::InvokeStream] {
                prop_assert!(!read(api, kind, &[&bytes[..cut], &bytes[cut..]]).whole);
            }
        }
    }
}
