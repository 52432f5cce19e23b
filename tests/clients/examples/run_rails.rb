# Prints what two requests of one visitor for a token are answered with.
require_relative "rails_site"
require_relative ARGV.fetch(0)

Site.initialize!
browser = Rack::MockRequest.new(Site)
cookie = ""
answers = Array.new(2) do
  answer = browser.get("http://localhost/gatehouse-token", "HTTP_COOKIE" => cookie)
  cookie = answer["Set-Cookie"].to_s[/\A[^;]+/] || cookie
  { status: answer.status, cacheControl: answer["Cache-Control"], body: JSON.parse(answer.body) }
end
puts JSON.generate(answers)
