// Connect through a proxymux gateway.  Copy it into your own program.
//
//	go run client.go GATEWAY_HOST:PORT TOKEN < request
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Connect gives a connection to the target of the token.
func Connect(gateway, token string, timeout time.Duration) (*net.TCPConn, error) {
	conn, err := net.DialTimeout("tcp", gateway, timeout)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(timeout))
	status := make([]byte, 3)
	if _, err = conn.Write([]byte(token + "\n")); err == nil {
		_, err = io.ReadFull(conn, status) // not one byte more: what follows is the target's
	}
	if err != nil {
		err = fmt.Errorf("no status from the gateway: %w", err)
	} else if string(status) != "200" {
		err = fmt.Errorf("the gateway answers %s", status)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return conn.(*net.TCPConn), nil
}

func main() {
	conn, err := Connect(os.Args[1], os.Args[2], 30*time.Second)
	if err == nil {
		go func() { io.Copy(conn, os.Stdin); conn.CloseWrite() }() // half-close goes through the gateway
		_, err = io.Copy(os.Stdout, conn)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
