# A Rails site that has nothing but an example's controller.
require "action_controller/railtie"
require "json"
require "rack/mock"

class Site < Rails::Application
  config.eager_load = false
  config.hosts.clear
  config.secret_key_base = "s" * 64
  config.session_store :cookie_store, key: "_site"
  config.logger = Logger.new($stderr, level: :fatal)
  routes.append do
    get "/gatehouse-token", to: "gatehouse_tokens#show"
    post "/questions", to: "questions#create"
  end
end

class ApplicationController < ActionController::Base; end
