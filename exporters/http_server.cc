#include "exporters/http_server.h"

#include <arpa/inet.h>
#include <civetweb.h>
#include <netinet/in.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <zlib.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <thread>

#include "base/file_root.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "collector/port_owner.h"

namespace idlewatt {
namespace {

constexpr size_t kGzipFrom = 1024;  // below that the headers weigh more than what is won

struct Listen {
  std::string address;
  uint16_t port = 0;
  in_addr ip{};
  bool IsLoopback() const { return (ntohl(ip.s_addr) >> 24) == 127; }
};

Error Invalid(std::string subject, std::string text) {
  return Error{ErrorCode::kInvalid, std::move(subject), 0, std::move(text)};
}

Result<Listen> ParseListen(const std::string& text) {
  Listen listen;
  const size_t colon = text.rfind(':');
  const auto port = colon == std::string::npos
                        ? std::nullopt
                        : ParseNumber<uint16_t>(std::string_view(text).substr(colon + 1));
  listen.address = text.substr(0, colon);
  if (listen.address == "localhost") listen.address = "127.0.0.1";
  if (!port || ::inet_pton(AF_INET, listen.address.c_str(), &listen.ip) != 1) {
    return Invalid("listen address \"" + text + "\"",
                   "is not an IPv4 address and a port, as in \"127.0.0.1:19288\"");
  }
  listen.port = *port;
  return listen;
}

sockaddr_in SocketAddress(const Listen& listen) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(listen.port);
  address.sin_addr = listen.ip;
  return address;
}

// Says why the port could not be taken.
Error WhyNotListening(const Listen& listen, const std::string& text) {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = SocketAddress(listen);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::listen(socket.get(), 1) == 0) {
    return Error{ErrorCode::kInternal, text, 0,
                 "cannot be listened on: the HTTP server did not start"};
  }
  if (errno != EADDRINUSE) return Error{ErrorCode::kInvalid, text, errno, "cannot be listened on"};
  std::string holder;
  if (const auto proc = FileRoot::Open("/proc")) {
    if (const auto pid = FindPortOwner(*proc, listen.port)) {
      const auto name = proc->Read(std::to_string(*pid) + "/comm");
      holder = " by process " + std::to_string(*pid) +
               (name ? " (" + ToValidUtf8(Trim(*name)) + ")" : "");
    }
  }
  return Invalid(text, "is in use" + holder + "; stop it or choose another address with --http");
}

std::string Gzip(const std::string& text) {
  z_stream stream{};
  constexpr int kGzipWindow = 15 + 16;
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return {};
  }
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int end = deflate(&stream, Z_FINISH);
  out.resize(end == Z_STREAM_END ? stream.total_out : 0);
  deflateEnd(&stream);
  return out;
}

std::string_view OrEmpty(const char* text) { return text == nullptr ? "" : text; }

// "name" of "name:port" and of "name".
std::string_view HostOf(std::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.find(']', colon) != std::string_view::npos) {
    return host;
  }
  return host.substr(0, colon);
}

// A name that merely begins with "127." may be anybody's.
bool IsLoopbackName(const std::string& name) {
  in_addr ip{};
  return name == "localhost" || name == "[::1]" ||
         (::inet_pton(AF_INET, name.c_str(), &ip) == 1 && (ntohl(ip.s_addr) >> 24) == 127);
}

std::string Decode(std::string_view text) {
  std::string out(text.size() + 1, '\0');
  const int length = mg_url_decode(text.data(), static_cast<int>(text.size()), out.data(),
                                   static_cast<int>(out.size()), 1);
  out.resize(length < 0 ? 0 : static_cast<size_t>(length));
  return out;
}

class CivetServer final : public HttpServer {
 public:
  CivetServer(Listen listen, Options options, Endpoints endpoints)
      : options_(std::move(options)),
        listen_(std::move(listen)),
        endpoints_(std::move(endpoints)) {}
  ~CivetServer() override {
    if (context_ == nullptr) return;
    stop_.request_stop();
    // The thread that accepts, and a worker that waits for the next request of a client, look at
    // the stop flag only when their wait of 2 s ends or something comes: so something does.
    const std::jthread knock([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        Connect();
        EndReading(listen_.port);
        ::poll(nullptr, 0, 20);
      }
    });
    mg_stop(context_);
    mg_exit_library();
  }

  Result<void> Run() {
    const std::string ports = listen_.address + ":" + std::to_string(listen_.port);
    const std::string threads = std::to_string(options_.threads);
    // Without the empty settings civetweb itself allows every origin in preflight requests.
    const std::array<const char*, 15> settings{"listening_ports",
                                               ports.c_str(),
                                               "num_threads",
                                               threads.c_str(),
                                               "enable_keep_alive",
                                               "yes",
                                               "request_timeout_ms",
                                               "10000",
                                               "tcp_nodelay",
                                               "1",
                                               "access_control_allow_origin",
                                               "",
                                               "access_control_allow_methods",
                                               "",
                                               nullptr};
    mg_callbacks callbacks{};
    callbacks.log_message = [](const mg_connection*, const char*) { return 1; };
    mg_init_library(MG_FEATURES_DEFAULT);
    context_ = mg_start(&callbacks, this, const_cast<const char**>(settings.data()));
    if (context_ == nullptr) {
      mg_exit_library();
      return WhyNotListening(listen_, options_.listen);
    }
    mg_server_port taken{};
    if (mg_get_server_ports(context_, 1, &taken) == 1) {
      listen_.port = static_cast<uint16_t>(taken.port);
    }
    mg_set_request_handler(context_, "/", &CivetServer::OnRequest, this);
    return {};
  }

  std::string address() const override {
    return listen_.address + ":" + std::to_string(listen_.port);
  }

 private:
  static int OnRequest(mg_connection* connection, void* self) {
    const mg_request_info& info = *mg_get_request_info(connection);
    HttpRequest request;
    request.method = OrEmpty(info.request_method);
    request.path = OrEmpty(info.local_uri);
    request.accept_encoding = OrEmpty(mg_get_header(connection, "Accept-Encoding"));
    request.authorization = OrEmpty(mg_get_header(connection, "Authorization"));
    for (const std::string_view pair : Split(OrEmpty(info.query_string), '&')) {
      const size_t equals = std::min(pair.find('='), pair.size());
      request.query[Decode(pair.substr(0, equals))] =
          Decode(pair.substr(std::min(equals + 1, pair.size())));
    }
    auto& server = *static_cast<CivetServer*>(self);
    const HttpResponse response = server.Answer(connection, request);
    if (response.stream && request.method == "GET") return server.SendStream(connection, response);
    Send(connection, request, response);
    return response.status;
  }

  HttpResponse Answer(mg_connection* connection, HttpRequest& request) const {
    if (!IsAllowed(connection)) {
      return HttpResponse::Error(403, "forbidden", "Host or Origin is not this server");
    }
    const Endpoint* endpoint = Find(request.path);
    if (endpoint == nullptr) {
      return HttpResponse::Error(404, "not_found", "there is nothing at " + request.path);
    }
    const bool is_get = request.method == "GET" || request.method == "HEAD";
    const bool is_post = request.method == "POST";
    const Handler& handler = is_post ? endpoint->post : endpoint->get;
    if (!(is_get || is_post) || !handler) return NotAllowed(request.path, *endpoint);
    if (is_post && !ReadBody(connection, request.body)) {
      return HttpResponse::Error(413, "too_large", "the body is incomplete or larger than 1 MiB");
    }
    // What a library may throw ends here.
    try {
      return handler(request);
    } catch (const std::exception& e) {
      return HttpResponse::Error(500, "internal", e.what());
    }
  }

  static HttpResponse NotAllowed(const std::string& path, const Endpoint& endpoint) {
    const std::string methods = !endpoint.post ? "GET, HEAD"
                                : endpoint.get ? "GET, HEAD, POST"
                                               : "POST";
    HttpResponse response =
        HttpResponse::Error(405, "method_not_allowed", path + " answers " + methods + " only");
    response.headers.emplace_back("Allow", methods);
    return response;
  }

  // False when the client did not send all of it, or more than may be. civetweb drops what is left.
  static bool ReadBody(mg_connection* connection, std::string& body) {
    constexpr auto kMost = static_cast<long long>(HttpRequest::kMostBody);
    const long long length = mg_get_request_info(connection)->content_length;
    if (length > kMost) return false;
    std::array<char, 16384> buffer{};
    int got = 0;
    while (body.size() <= HttpRequest::kMostBody &&
           (got = mg_read(connection, buffer.data(), buffer.size())) > 0) {
      body.append(buffer.data(), static_cast<size_t>(got));
    }
    return length < 0 ? got == 0 : body.size() == static_cast<size_t>(length);
  }

  const Endpoint* Find(std::string path) const {
    for (;;) {
      const auto it = endpoints_.find(path);
      if (it != endpoints_.end()) return &it->second;
      const size_t slash = path.rfind('/');
      if (slash == std::string::npos || slash == 0) return nullptr;
      path.resize(slash);
    }
  }

  // A web page elsewhere must not reach us through the reader's browser: by a name of its own that
  // resolves to loopback (Host), by a request across sites (Origin), or by one that has no Origin,
  // such as that of an image (Sec-Fetch-Site). Following a link to us is no harm: a document.
  bool IsAllowed(const mg_connection* connection) const {
    const std::string_view host = OrEmpty(mg_get_header(connection, "Host"));
    if (listen_.IsLoopback() && !IsLoopbackName(std::string(HostOf(host)))) return false;
    const std::string_view site = OrEmpty(mg_get_header(connection, "Sec-Fetch-Site"));
    const bool is_elsewhere = site == "cross-site" || site == "same-site";
    if (is_elsewhere && OrEmpty(mg_get_header(connection, "Sec-Fetch-Dest")) != "document") {
      return false;
    }
    std::string_view origin = OrEmpty(mg_get_header(connection, "Origin"));
    if (origin.empty()) return true;
    const size_t scheme = origin.find("://");
    if (scheme != std::string_view::npos) origin.remove_prefix(scheme + 3);
    return origin == host;
  }

  static std::string Head(mg_connection* connection, const HttpResponse& response) {
    std::string head = "HTTP/1.1 " + std::to_string(response.status) + " " +
                       mg_get_response_code_text(connection, response.status) + "\r\n";
    head += "Content-Type: " + response.content_type + "\r\n";
    for (const auto& [name, value] : response.headers) {
      head.append(name).append(": ").append(value).append("\r\n");
    }
    head += "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n";
    return head;
  }

  static void Send(mg_connection* connection, const HttpRequest& request,
                   const HttpResponse& response) {
    std::string zipped;
    if (response.body.size() >= kGzipFrom &&
        request.accept_encoding.find("gzip") != std::string::npos) {
      zipped = Gzip(response.body);
    }
    const std::string& body = zipped.empty() ? response.body : zipped;
    std::string head = Head(connection, response);
    head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    if (!zipped.empty()) head += "Content-Encoding: gzip\r\n";
    head += "Vary: Accept-Encoding\r\n\r\n";
    mg_write(connection, head.data(), head.size());
    if (request.method != "HEAD") mg_write(connection, body.data(), body.size());
  }

  int SendStream(mg_connection* connection, const HttpResponse& response) {
    const mg_request_info& info = *mg_get_request_info(connection);
    // civetweb can neither see that a client went away nor end a write when the server stops.
    const int socket =
        FindConnection(listen_.port, info.remote_addr, static_cast<uint16_t>(info.remote_port));
    const StreamPlace place(open_streams_);
    if (socket < 0 || place.number() > options_.streams) {
      HttpResponse busy = HttpResponse::Error(
          503, "busy", "all " + std::to_string(options_.streams) + " streams are in use");
      busy.headers.emplace_back("Retry-After", "5");
      Send(connection, {}, busy);
      return busy.status;
    }
    const std::string head = Head(connection, response) + "Transfer-Encoding: chunked\r\n\r\n";
    mg_write(connection, head.data(), head.size());
    SocketStream stream(socket, options_.stream_patience, stop_.get_token());
    try {
      response.stream(stream);
      stream.Finish();
    } catch (const std::exception& e) {
      spdlog::error("a stream ended early: {}", e.what());
    }
    // civetweb would take the next request of a client whose answer has no end.
    if (!stream.finished()) ::shutdown(socket, SHUT_RDWR);
    return response.status;
  }

  // One of the streams that are open.
  class StreamPlace {
   public:
    explicit StreamPlace(std::atomic<int>& open) : open_(open), number_(++open) {}
    StreamPlace(const StreamPlace&) = delete;
    StreamPlace& operator=(const StreamPlace&) = delete;
    ~StreamPlace() { --open_; }
    int number() const { return number_; }

   private:
    std::atomic<int>& open_;
    const int number_;
  };

  void Connect() const {
    const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_in address = SocketAddress(listen_);
    // EINPROGRESS and all others alike: to knock is enough.
    (void)::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }

  const Options options_;
  Listen listen_;
  const Endpoints endpoints_;
  std::stop_source stop_;
  std::atomic<int> open_streams_ = 0;
  mg_context* context_ = nullptr;
};

}  // namespace

std::optional<std::string> HttpRequest::Query(const std::string& name) const {
  const auto it = query.find(name);
  if (it == query.end()) return std::nullopt;
  return it->second;
}

HttpResponse HttpResponse::Error(int status, std::string_view code, std::string_view message) {
  const nlohmann::json body = {{"error", {{"code", code}, {"message", ToValidUtf8(message)}}}};
  return {status, "application/json", body.dump() + "\n"};
}

Result<void> CheckListen(const HttpServer::Options& options) {
  ASSIGN_OR_RETURN(const Listen listen, ParseListen(options.listen));
  if (!listen.IsLoopback() && !options.allow_unauthenticated) {
    return Invalid("listen address \"" + options.listen + "\"",
                   "is open to other machines without authentication; use a 127.x address, or set "
                   "http.allow_unauthenticated = true if that is meant");
  }
  return {};
}

Result<std::unique_ptr<HttpServer>> HttpServer::Start(const Options& options, Endpoints endpoints) {
  RETURN_IF_ERROR(CheckListen(options));
  ASSIGN_OR_RETURN(Listen listen, ParseListen(options.listen));
  auto server = std::make_unique<CivetServer>(std::move(listen), options, std::move(endpoints));
  RETURN_IF_ERROR(server->Run());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace idlewatt
