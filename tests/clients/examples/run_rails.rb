# As much of Rails as the example's controller touches. Prints what two requests of one visitor are answered with.
require "json"
require "net/http"
require "securerandom"

class ApplicationController
  attr_reader :session, :response, :answer

  def initialize(session)
    @session = session
    @response = Struct.new(:headers).new({})
  end

  def render(json:, status:)
    @answer = { body: JSON.parse(json), status: status.to_i, headers: response.headers }
  end
end

require_relative ARGV.fetch(0)

session = {}
puts JSON.generate(Array.new(2) { GatehouseTokensController.new(session).tap(&:show).answer })
