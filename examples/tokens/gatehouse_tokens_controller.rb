require "net/http"

class GatehouseTokensController < ApplicationController
  def show
    fields = { userId: session[:visitor] ||= SecureRandom.uuid, ttlS: 900, scopes: ["chat"] }
    headers = { "Authorization" => "Bearer #{ENV["GATEHOUSE_KEY"]}", "Content-Type" => "application/json" }
    answer = Net::HTTP.post(URI("#{ENV["GATEHOUSE_URL"]}/api/tokens"), fields.to_json, headers)
    response.headers["Cache-Control"] = "no-store"
    render json: answer.body, status: answer.code
  end
end
