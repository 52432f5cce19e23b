<?php
session_start(); // also sends Cache-Control: no-store
$visitor = $_SESSION["visitor"] ??= bin2hex(random_bytes(16));
$fields = ["userId" => $visitor, "ttlS" => 900, "scopes" => ["chat"]];
$headers = ["Authorization: Bearer " . getenv("GATEHOUSE_KEY"), "Content-Type: application/json"];
$http = ["method" => "POST", "header" => $headers, "content" => json_encode($fields), "ignore_errors" => true];
$answer = file_get_contents(getenv("GATEHOUSE_URL") . "/api/tokens", false, stream_context_create(["http" => $http]));
http_response_code((int) explode(" ", $http_response_header[0])[1]);
header("Content-Type: application/json");
echo $answer;
