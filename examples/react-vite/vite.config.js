import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// While developing, the site's own server (here ../tokens/express.js) runs on another port.
const server = { proxy: { "/gatehouse-token": "http://127.0.0.1:3000" } };

export default defineConfig({ plugins: [react()], server });
